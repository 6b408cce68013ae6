"""Templates and inputs: their features, and that special tokens in data are never parsed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocog_core import Automaton, Choose, Each, Input, InputError, Model, Template, Text
from autocog_core.automaton.inputs import TYPE_ERRORS, convert_values
from autocog_core.types.prompt import Prompt, TextPiece
from tests.support.small_backends import CharTokenizer, random_model

VALUES: dict[str, Any] = {
    "s": "some Text",
    "n": 3,
    "x": 0.5,
    "yes": True,
    "nothing": None,
    "l": ["b", "a", "c"],
    "d": {"key": "v", "items": 1, "title": "T"},
    "rows": [{"q": "1+1", "a": 2}, {"q": "2+2", "a": 4}],
}
ENUMERATED = (
    "{% for one in l %}{{ loop.index }}{{ one }}{% if not loop.last %}, {% endif %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a {{ s }} b\n", "a some Text b\n"),
        ("{{ n }} {{ x }} {{ yes }} {{ nothing }}.", "3 0.5 True ."),
        ("{{ n * 2 + 1 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ n / 2 }} {{ -n }}", "7 3 3 1.5 -3"),
        ("{% if n > 2 and s %}more{% elif yes %}x{% else %}less{% endif %}", "more"),
        ("{{ 'a' if n == 3 else 'b' }}", "a"),
        (ENUMERATED, "1b, 2a, 3c"),
        ("{% for one in l if one != 'a' %}{{ one }}/{{ loop.length }} {% endfor %}", "b/2 c/2 "),
        ("{% for one in [] %}{% else %}none{% endfor %}", "none"),
        ("{% for row in rows %}{{ row.q }}={{ row['a'] }}\n{% endfor %}", "1+1=2\n2+2=4\n"),
        ("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "key=v;items=1;title=T;"),
        ("{{ l|join(', ') }} {{ l|sort|join }} {{ l|length }}", "b, a, c abc 3"),
        ("{{ l|first }} {{ l[-1] }}", "b c"),
        ("{{ l[1:]|join }} {{ s[:4] }} {{ s[::-1] }}", "ac some txeT emos"),
        ("{{ s|upper }} {{ s.lower() }} {{ s.split()|last }}", "SOME TEXT some text Text"),
        ("{{ s|replace('e', 'E') }} {{ s|replace('e', '', 1) }}", "somE TExt som Text"),
        ("{{ rows|map(attribute='a')|join('+') }} {{ l|map('upper')|list|join }}", "2+4 BAC"),
        ("{{ rows|selectattr('a', 'gt', 2)|map(attribute='q')|first }}", "2+2"),
        ("{{ d|tojson }} {{ 'é<'|tojson }}", '{"key": "v", "items": 1, "title": "T"} "é<"'),
        ("{{ d.key }} {{ d['items'] }} {{ d.title }} {{ d.get('no', '-') }}", "v 1 T -"),
        ("{{ d.missing|default('-') }} {% if d.missing is defined %}x{% endif %}", "- "),
        ("{{ s ~ n ~ '!' }} {{ 'a' + 'b' }}", "some Text3! ab"),
        ("{{ 2.345|round(1) }} {{ 2.5|round(0, 'ceil') }} {{ '7'|int + 1 }}", "2.3 3.0 8"),
        ("{{ 'some' in s }} {{ n is odd }} {{ l|max }}", "True True c"),
        ("{# nothing #}{{ '{{' }}{% raw %}{{ s }}{% endraw %}", "{{{{ s }}"),
        ("<b>{{ s }}</b> {{ '<' }}", "<b>some Text</b> <"),
        (" {{- s -}} \n x", "some Textx"),
    ],
)  # fmt: skip
def test_templates_are_rendered_as_jinja_does(source: str, expected: str) -> None:
    assert Template(source).render(VALUES) == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ l }}", "cannot insert a list into a text; add a filter such as \"| join(', ')\""),
        ("{{ d }}", "cannot insert a mapping into a text"),
        ("{{ d.missing }}", "a mapping has no entry 'missing'"),
        ("{{ l[7] }}", "a list has no entry 7"),
        ("{{ s.upper }}", '"upper" is a method; call it: upper()'),
        ("{{ s.upper ~ '' }}", '"upper" is a method'),
        ("{{ s * 3 }}", '"*" works only on numbers'),
        ("{{ '%s' % s }}", '"%" works only on numbers'),
        ("{{ s + n }}", 'can only concatenate str'),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{% for a in n %}{% endfor %}", "cannot loop over a number"),
        ("{{ s.split(1, 2, 3, 4) }}", "split"),
        ("{{ l|join(1, 2, 3, 4) }}", "argument"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit_are_errors(source: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        Template(source).render(VALUES)
    assert str(raised.value).startswith("template: ")
    assert message in str(raised.value)
    assert " at 0x" not in str(raised.value)


def test_an_invalid_template_names_its_line() -> None:
    with pytest.raises(InputError, match=r"template: .* \(line 2 of the text\); for text that is"):
        Template("a\n{{ b").names  # noqa: B018


def test_names_are_the_inputs_that_a_template_uses() -> None:
    template = Template(
        "{% for a in b %}{{ a }}{{ loop.index }}{{ c.d }}{% endfor %}{{ e|f if false }}"[:-17]
    )
    assert template.names == {"b", "c"}
    assert Each("options|sort", "{{ item }}{{ index }}{{ more }}").names == {"options", "more"}


# -- choices from a list


def test_each_gives_one_choice_per_item() -> None:
    values = {"l": ["b", "a"], "p": "<"}

    def texts(each: Each, values: dict[str, Any]) -> list[str]:
        return [text for (text,), value in each.render(values) if value is None]

    assert texts(Each("l"), values) == ["b", "a"]
    assert texts(Each("l|sort", "{{ p }}{{ index }}{{ item }}"), values) == ["<0a", "<1b"]
    assert texts(Each("[p, 'x']"), values) == ["<", "x"]
    assert texts(Each("rows|map(attribute='q')"), VALUES) == ["1+1", "2+2"]


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ index }}", 0),
        (" {{- index > 1 -}} ", False),
        ("{{ item }}", "b"),
        ("{{ p }}{{ index }}", "<0"),
        ("is {{ index }}", "is 0"),
        ("none", "none"),
        ("{{ '}}' }}", "}}"),
    ],
)
def test_a_value_of_one_expression_keeps_its_type(source: str, value: Any) -> None:
    each = Each("l", texts=("{{ item }}", "{{ p }}"), value=source)
    assert each.render({"l": ["b"], "p": "<"}) == [(("b", "<"), value)]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("s", '"s" is a text, expected a list'),
        ("a }}{{ b", '"a }}{{ b" is not an expression'),
        ("a }}{% if b %}{% endif %}{{ c", "is not an expression"),
        ("", "template: "),
        ("a b", "template: "),
        ("missing", "'missing' is undefined; valid names: "),
    ],
)
def test_values_that_are_not_lists_are_errors(items: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        Each(items).render(VALUES)
    assert message in str(raised.value)


def test_all_choices_of_a_list_have_the_same_successor() -> None:
    automaton = Automaton(
        [
            Choose(
                uid="c",
                choices=("none", Each("l"), Template("{{ s }}")),
                successors=("x", "y", "x"),
            ),
            Text(uid="x", text="x"),
            Text(uid="y", text="y"),
        ],
        inputs={"l": Input("list"), "s": Input()},
    )
    bound = automaton.bind({"l": ["a", "b"], "s": "c"})
    assert bound.entry == Choose(
        uid="c", choices=("none", "a", "b", "c"), successors=("x", "y", "y", "x")
    )
    assert not bound.inputs


def test_errors_of_a_template_name_its_action() -> None:
    automaton = Automaton([Text(uid="q", text=Template("{{ l }}"))], inputs={"l": Input("list")})
    with pytest.raises(InputError, match=r'^action "q": template: cannot insert a list'):
        automaton.bind({"l": []})


# -- special tokens

TOKENIZER = CharTokenizer()
BOS, END = (token.id for token in TOKENIZER.specials)


def test_special_tokens_are_parsed_only_in_the_authors_text() -> None:
    template = Template("<|end|>{{ a }}<|end|>{% if a %}x{{ '<|end|>' }}{% endif %}", special=True)
    assert template.render({"a": "<|end|>"}) == Prompt(
        (
            TextPiece("<|end|>", trusted=True),
            TextPiece("<|end|>"),
            TextPiece("<|end|>x", trusted=True),
            TextPiece("<|end|>"),
        )
    )


#: Pieces of special tokens, and of the marks around inserted values.
hostile = st.lists(
    st.sampled_from(["<|end|>", "<|", "|>", "end", "<|bos|>", "\ue000", "\ue001", "a", "{{", "0"])
).map("".join)


@given(hostile, st.lists(hostile, max_size=3))
def test_data_is_never_parsed_for_special_tokens(text: str, items: list[str]) -> None:
    """In earlier implementations a row that says "<|end|>" ended the turn."""
    template = Template(
        "<|bos|>{{ t }}<|{{ t }}|>{% for i in l %}<{{ i }}>{% endfor %}<|end|>", True
    )
    prompt = template.render({"t": text, "l": items})
    assert isinstance(prompt, Prompt)
    expected = ["<|bos|>", text, "<|", text, "|>"]
    expected += [part for item in items for part in ("<", item, ">")]
    assert "".join(p.text for p in prompt.pieces) == "".join(expected) + "<|end|>"  # type: ignore[union-attr]
    model = Model(CharTokenizer(specials=("<|bos|>", "<|end|>")))
    if (text + "".join(items)).isascii():
        ids = model.encode(prompt)
        assert [i for i in ids if i in (BOS, END)] == [BOS, END]
        assert ids[-1] == END


@given(hostile.filter(str.isascii))
def test_special_tokens_are_not_parsed_in_choices_and_plain_templates(text: str) -> None:
    automaton = Automaton(
        [
            Text(uid="q", text=Template("<|end|>{{ t }}"), successors="c"),
            Choose(uid="c", choices=(Template("<|end|>{{ t }}"), "no"), width=None),
        ],
        inputs={"t": Input()},
    )
    tree = automaton.run(Model(TOKENIZER), {"t": text})
    tokens = [token for node in tree.nodes for token in node.tokens]
    assert END not in tokens
    assert BOS not in tokens
    assert [node.text for node in tree.nodes] == [f"<|end|>{text}"] * 2 + ["no"]


def test_a_special_token_of_the_author_reaches_the_model() -> None:
    text = Text(uid="q", text=Template("<|end|>{{ t }}", special=True), successors="c")
    automaton = Automaton([text, Choose(uid="c", choices=("a", "b"))], inputs={"t": Input()})
    (node, *_) = automaton.run(Model(TOKENIZER), {"t": "<|end|>"}).nodes
    assert node.tokens == (END, *map(ord, "<|end|>"))


# -- inputs


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("text", "a", "a"),
        ("text", 3, "3"),
        ("text", 0.5, "0.5"),
        ("integer", 3, 3),
        ("integer", "3", 3),
        ("integer", " -3 ", -3),
        ("integer", 3.0, 3),
        ("number", 3, 3.0),
        ("number", "1e-3", 0.001),
        ("boolean", True, True),
        ("boolean", "False", False),
        ("list", ["a", 1], ["a", 1]),
        ("list", ("a",), ["a"]),
        ("list", '["a", {"b": null}]', ["a", {"b": None}]),
        ("any", {"a": (1, 2)}, {"a": [1, 2]}),
        ("any", "x", "x"),
    ],
)
def test_values_are_converted_to_their_types(kind: Any, given: Any, expected: Any) -> None:
    converted = convert_values({"x": Input(kind)}, {"x": given, "other": 1})["x"]
    assert (converted, type(converted)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        *(("text", value) for value in (True, ["a"], {"a": 1}, b"a")),
        *(("integer", value) for value in ("x", "", 1.5, True, [], float("inf"), float("nan"))),
        ("integer", "9" * 10_000),
        *(("number", value) for value in ("x", True, [], float("inf"), "nan", "1e999", 10**400)),
        *(("boolean", value) for value in (1, "yes", 0.0)),
        *(("list", value) for value in ("a", "{}", 3, '["a"', "[" * 100_000, {"a": 1}, [b"a"])),
        *(("any", value) for value in (b"a", object(), {1: object()}, np.zeros(2))),
        ("text", 10**5_000),
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) or value < 9 else "large",
)
def test_values_of_other_types_are_rejected(kind: Any, given: Any) -> None:
    with pytest.raises(InputError) as raised:
        convert_values({"x": Input(kind)}, {"x": given})
    assert f'inputs: "x" {TYPE_ERRORS[kind]}: ' in str(raised.value)
    assert len(str(raised.value)) < 200


def test_lists_that_contain_themselves_are_rejected() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for kind in ("list", "any"):
        with pytest.raises(InputError):
            convert_values({"x": Input(kind)}, {"x": endless})  # type: ignore[arg-type]


def test_all_missing_values_are_reported_at_once() -> None:
    inputs = {"a": Input(), "b": Input("integer"), "c": Input("list", default=[]), "d": Input()}
    with pytest.raises(InputError) as raised:
        convert_values(inputs, {"a": None, "b": "x", "d": "d"})
    assert str(raised.value) == (
        'inputs: "a" is missing, "b" is not an integer: \'x\'; '
        "the inputs are a (text), b (integer), c (list), d (text)"
    )


def test_an_empty_cell_gives_the_default() -> None:
    inputs = {"a": Input(default="x"), "b": Input("integer", default=None)}
    assert convert_values(inputs, {"a": None, "b": None}) == {"a": "x", "b": None}


def test_values_are_copied() -> None:
    """A template gets its own plain data."""
    given = {"a": [1]}
    converted = convert_values({"x": Input("any")}, {"x": given})["x"]
    assert converted == given
    assert converted["a"] is not given["a"]


def test_a_run_fills_in_its_templates() -> None:
    model = random_model(seed=2)
    automaton = Automaton.from_dict(
        {
            "inputs": {"q": "text", "options": {"type": "list", "default": ["a", "b"]}},
            "actions": [{"text": "{{ q }}? "}, {"name": "answer", "choices": {"each": "options"}}],
        }
    )
    tree = automaton.run(model, {"q": "which", "options": '["red", "blue"]'})
    expected = model.choose("which? ", ["red", "blue"])
    assert tree.fields == {"answer": expected.choice}
    assert automaton.run(model, {"q": "x"}).fields["answer"] in ("a", "b")
