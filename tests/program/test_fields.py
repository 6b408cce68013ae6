"""Templates over earlier fields: values, shares, lists, checks, limits."""

from __future__ import annotations

from typing import Any

import pytest

from autocog_core import Automaton, Choose, Input, InputError, Template, Text, ThoughtTree
from autocog_core.automaton.templates.field_values import FIELDS, Fields, FieldValue
from autocog_core.evaluation import path_fields
from autocog_core.evaluation.evaluation import Strategy
from autocog_core.types.prompt import Prompt, TextPiece
from tests.support.small_backends import random_model

VALUES = Fields.of(
    {
        "label": [FieldValue("A b", 0.25)],
        "steps": [FieldValue("a", 0.5), FieldValue("b", 1.0)],
        "once": [FieldValue("c", 0.75)],
        "items": [FieldValue("an item", 1.0)],
        "count": [FieldValue(3, 0.5)],
        "share": [FieldValue(0.5, 0.125)],
        "yes": [FieldValue(True, 0.5)],
        "no": [FieldValue(False, 0.5)],
        "nothing": [FieldValue(None, 0.5)],
    },
    frozenset({"steps", "once"}),
)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ fields.label }} {{ fields['label'].prob }}", "A b 0.25"),
        ("{{ fields.label['prob'] }} {{ fields.label.prob * 2 }}", "0.25 0.5"),
        ("{{ fields.label.lower() }} {{ fields.label | upper }}", "a b A B"),
        ("{% for one in fields.steps %}{{ one }}{{ one.prob }} {% endfor %}", "a0.5 b1.0 "),
        ("{{ fields.once | join }} {{ fields.steps[-1] }} {{ fields.steps | length }}", "c b 2"),
        ("{{ fields.steps | map(attribute='prob') | max }}", "1.0"),
        ("{{ fields.steps | tojson }}", '["a", "b"]'),
        ("{{ fields.items }}", "an item"),
        ("{{ fields.count + 1 }} {{ fields.count is integer }}", "4 True"),
        ("{{ fields.share * 2 }} {{ fields.share.prob }}", "1.0 0.125"),
        ("{{ fields.yes }} {{ fields.yes ~ '!' }} {{ fields.yes | tojson }}", "True True! true"),
        ("{{ fields.no }} {{ 'a' if fields.no else 'b' }} {{ fields.no.prob }}", "False b 0.5"),
        ("{{ fields.yes is true }} {{ fields.no is false }}", "True True"),
        ("{{ fields.no is boolean }} {{ fields.no is true }}", "True False"),
        ("{{ fields.yes is integer }} {{ fields.yes == true }}", "False True"),
        ("{{ {'a': fields.no} | tojson }}", '{"a": false}'),
        ("[{{ fields.nothing }}] {{ fields.nothing is none }}", "[] True"),
        ("{{ fields.none | default('-') }} {{ fields.none.prob | d(0) }}", "- 0"),
        ("{{ fields.none is defined }} {{ fields.none.prob is undefined }}", "False True"),
    ],
)  # fmt: skip
def test_fields_are_values_with_a_share(source: str, expected: str) -> None:
    assert Template(source).render({FIELDS: VALUES}) == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ fields }}", '"fields" stands alone; name the field: fields.NAME'),
        ("{{ fields | tojson }}", '"fields" stands alone'),
        ("{{ fields[s] }}", '"fields" stands alone'),
        ("{% for fields in s %}{% endfor %}", 'the name "fields" is reserved'),
        ("{{ fields.none }}", 'the field "none" is not set on this path'),
        ("{{ fields.none.prob }}", 'the field "none" is not set on this path'),
        ("{{ fields.steps }}", "cannot insert a list into a text"),
        ("{{ fields.steps.prob }}", "a list has no entry 'prob'"),
        ("{{ fields.label.other }}", "a text has no entry 'other'"),
        ("{{ fields.yes + 's' }}", "unsupported operand"),
        ("{% for one in fields.yes %}{% endfor %}", "cannot loop over a boolean"),
    ],
)
def test_wrong_uses_of_fields_are_errors(source: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Template(source).render({FIELDS: VALUES, "s": ["a"]})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("source", "required"),
    [
        ("{{ fields.a }} {{ b }}", "a"),
        ("{{ fields.a | default('') }} {{ fields.b.prob | d(1) }}", ""),
        ("{{ fields.c | upper | d('') }}", "c"),
        ("{% if fields.a is defined %}{{ fields.a }}{% else %}{{ fields.b }}{% endif %}", "b"),
        ("{% if fields.a is defined and fields.a and fields.b %}{{ fields.a }}{% endif %}", "b"),
        ("{% if fields.a is defined or x %}{{ fields.a }}{% endif %}", "a"),
        ("{{ fields.a if fields.a is defined else fields.b }}", "b"),
        ("{% for one in fields.a %}{{ fields['b'] }}{% endfor %}", "ab"),
        ("{% if fields.a is undefined %}{% endif %}", ""),
    ],
)  # fmt: skip
def test_a_field_is_required_unless_the_template_provides_for_its_absence(
    source: str, required: str
) -> None:
    assert Template(source).fields.required == set(required)
    assert FIELDS not in Template(source).names


def of(*actions: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    return {"inputs": inputs, "actions": list(actions)}


BRANCH = {"choices": [{"text": "a", "next": "x"}, {"text": "b"}]}


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            of({"name": "label", "length": 1}, {"text": "{{ fields.lable }}"}),
            'action 2: unknown field "lable" in a template; did you mean "label"?',
        ),
        (
            of({"text": "{{ fields.a | default('') }}"}),
            'action 1: unknown field "a" in a template; no action has a name',
        ),
        (
            of(BRANCH, {"name": "a", "length": 1}, {"uid": "x", "text": "{{ fields.a }}"}),
            'action "x": the field "a" may be unset here: the path choose-1 > x does not set it; '
            "give a default: {{ fields.a | default('') }}",
        ),
        (
            of({"uid": "x", "name": "a", "choices": ["b", "{{ fields.a }}"]}),
            'action "x": the field "a" may be unset here: the path x does not set it',
        ),
        (
            of(BRANCH, *[{"text": "t"}] * 9, {"name": "a", "choices": {"each": "fields.a"}},
               {"uid": "x", "text": "e"}),
            "the path choose-1 > text-2 > text-3 > … > text-9 > text-10 > a does not set it",
        ),
        (of({"text": "a"}, fields="text"), "inputs.fields: the name is reserved in templates"),
    ],
)  # fmt: skip
def test_check_names_the_path_that_does_not_set_a_field(
    program: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        Automaton.from_dict(program)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_input_of_the_name_fields_is_refused_in_python() -> None:
    automaton = Automaton([Text(uid="a", text="b")], inputs={FIELDS: Input()})
    with pytest.raises(InputError, match="reserved in templates"):
        automaton.run(random_model())


LOOP = Automaton.from_dict(
    of(
        {"text": "{{ task }}:"},
        {"uid": "step", "text": "\n- "},
        {"name": "steps", "length": 2, "max_visits": 2},
        {"name": "more", "choices": [{"text": ".", "next": "step"}, {"text": "!", "next": "sum"}],
         "width": None},
        {"uid": "sum", "text": "\n{{ task }} of {{ fields.steps | length }}: "
         "{{ fields.steps | join('+') }} {{ fields.more | last }}\n"},
        {"name": "best", "choices": {"each": "fields.steps", "text": "{{ index }}{{ item }}"}},
        task="text",
    )
)  # fmt: skip


@pytest.mark.parametrize("strategy", ["token_tree", "text"])
def test_each_path_has_its_own_fields(strategy: Strategy) -> None:
    model = random_model()
    rows = [{"task": "sum"}, {"task": "all"}]
    for row, tree in zip(rows, LOOP.run_many(model, rows, strategy=strategy), strict=True):
        assert isinstance(tree, ThoughtTree)
        assert tree.nodes == LOOP.run(model, row, strategy=strategy).nodes
        assert sorted(len(path.nodes) for path in tree.complete) == [6, 9]
        for path in tree.complete:
            steps = [node.text for node in path.nodes if node.name == "steps"]
            text = next(node.text for node in path.nodes if node.uid == "sum")
            assert text == f"\n{row['task']} of {len(steps)}: {'+'.join(steps)} !\n"
            siblings = [tree.nodes[index].text for index in tree.children[path.end.parent]]
            assert siblings == [f"{index}{step}" for index, step in enumerate(steps)]


def test_a_bound_automaton_keeps_the_templates_over_fields_and_their_inputs() -> None:
    bound = LOOP.bind({"task": "sum"})
    assert [action.uid for action in bound.actions if action.uid in bound.field_uses] == [
        "sum",
        "best",
    ]
    assert bound.inputs == {"task": Input("any", "sum")}
    assert bound.errors() == []
    assert Automaton.from_dict(bound.to_dict()) == bound
    model = random_model()
    assert bound.run(model).nodes == LOOP.run(model, {"task": "sum"}).nodes


def test_special_tokens_in_fields_are_plain_text() -> None:
    filled = path_fields.FieldTemplates(
        automaton := Automaton(
            [
                Choose(uid="a", name="a", choices=("<|end|>",), successors=("b",)),
                Text(uid="b", text=Template("<|end|>{{ fields.a }}", special=True)),
            ]
        )
    ).fill(automaton.by_uid["b"], {"a": (FieldValue("<|end|>", 1.0),)})
    assert isinstance(filled, Text)
    assert filled.text == Prompt((TextPiece("<|end|>", trusted=True), TextPiece("<|end|>")))


def test_templates_are_filled_in_once_for_equal_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    fill = path_fields.fill_templates

    def counted(*args: Any) -> Any:
        nonlocal count
        count += 1
        return fill(*args)

    monkeypatch.setattr(path_fields, "fill_templates", counted)
    automaton = Automaton.from_dict(
        of(
            {"text": "a"},
            {"name": "kept", "choices": ["b"]},
            {"choices": ["1", "2", "3", "4"], "width": None},
            {"text": "{{ fields.kept }}"},
            {"choices": ["{{ fields.kept }}", "."]},
        )
    )
    assert len(automaton.run(random_model()).complete) == 4
    assert count == 2


def test_wrong_texts_of_fields_end_the_run_with_one_error() -> None:
    automaton = Automaton.from_dict(
        of({"text": "a"}, {"name": "b", "choices": ["c"]}, {"choices": ["c", "{{ fields.b }}"]})
    )
    with pytest.raises(InputError, match=r'^action "choose-3": choices\[1\] repeats \'c\''):
        automaton.run(random_model())
    results = list(automaton.run_many(random_model(), [{}, {}]))
    assert [type(result) for result in results] == [InputError, InputError]


def test_the_texts_over_fields_are_limited_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_fields, "MAX_CHARACTERS", 100)
    automaton = Automaton.from_dict(
        of(
            {"uid": "a", "name": "a", "text": "{{ fields.a | default('bb') | join('xx') }}",
             "max_visits": 50, "next": "a"},
        )
    )  # fmt: skip
    with pytest.raises(InputError, match='action "a": the texts over fields have more than 100'):
        automaton.run(random_model())


def test_equal_numbers_are_different_texts() -> None:
    automaton = Automaton(
        [
            Choose(uid="n", name="n", choices=("1",), successors=("t",)),
            Text(uid="t", text=Template("{{ fields.n }}")),
        ]
    )
    templates = path_fields.FieldTemplates(automaton)
    texts = [
        templates.fill(automaton.by_uid["t"], {"n": (FieldValue(value, 1.0),)})
        for value in (1, 1.0, True, "1")
    ]
    assert [getattr(text, "text", None) for text in texts] == ["1", "1.0", "True", "1"]
