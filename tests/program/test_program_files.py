"""Program files: writing and reading give an equal automaton, in YAML and in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from autocog_core import EOS, Automaton, Choose, Complete, Each, Input, InputError, Template, Text
from autocog_core.automaton import Regex
from autocog_core.program.document import parse
from autocog_core.types.prompt import Prompt, TextPiece
from tests.program.generated_programs import programs
from tests.support.soak import count

QUIZ = """\
# A quiz of one question.
autocog: 1
description: one question
inputs:
  question: text
  options: {type: list, default: ["yes", "no"], description: what may be said}
vocabs:
  digits: {regex: "[0-9]"}
  odd: {difference: [digits, {strings: ["0", "2", "4", "6", "8"]}]}
actions:
  - text: "Q: {{ question }}\\nA: "
  - name: answer
    choices: {each: options}
    suffix: "\\n"
  - uid: number
    length: 3
    stop: "."
    vocab: odd
    next: null
"""


def read(tmp_path: Path, text: str | bytes, name: str = "program.yaml") -> Automaton:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Automaton.from_file(path)


def test_a_file_gives_the_automaton(tmp_path: Path) -> None:
    digits = Regex("[0-9]")
    from autocog_core.automaton import Strings

    odd = digits - Strings(("0", "2", "4", "6", "8"))
    assert read(tmp_path, QUIZ) == Automaton(
        [
            Text(uid="text-1", text=Template("Q: {{ question }}\nA: "), successors="answer"),
            Choose(
                uid="answer",
                name="answer",
                choices=Each("options"),  # type: ignore[arg-type]
                suffix="\n",
                successors="number",
            ),
            Complete(uid="number", length=3, stop=".", vocab="odd"),  # type: ignore[arg-type]
        ],
        {"digits": digits, "odd": odd},
        {
            "question": Input(),
            "options": Input("list", ["yes", "no"], "what may be said"),
        },
        description="one question",
    )


@pytest.mark.slow
@settings(max_examples=count(normal=30, soak=60))
@given(programs())
def test_written_programs_are_read_again(automaton: Automaton) -> None:
    assert not automaton.errors()
    data = automaton.to_dict()
    assert Automaton.from_dict(data) == automaton
    assert Automaton.from_dict(json.loads(json.dumps(data))) == automaton
    assert Automaton.from_dict(data).digest == automaton.digest


@settings(max_examples=30)
@given(programs(), st.booleans(), st.sampled_from([None, 0, 2]))
def test_yaml_and_json_files_give_the_same_automaton(
    tmp_path: Path, automaton: Automaton, ascii_only: bool, indent: int | None
) -> None:
    data = automaton.to_dict()
    as_json = json.dumps(data, ensure_ascii=ascii_only, indent=indent)
    assert read(tmp_path, as_json, "program.json") == automaton
    as_yaml = yaml.safe_dump(data, allow_unicode=not ascii_only, sort_keys=False)
    assert read(tmp_path, as_yaml) == automaton


#: Any text in JSON, also with characters that YAML does not allow.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
data = st.recursive(
    st.one_of(texts, st.integers(), st.booleans(), st.none(), numbers),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


@given(data, st.booleans(), st.sampled_from([None, "\t", 2]))
def test_json_is_read_as_json(given: Any, ascii_only: bool, indent: Any) -> None:
    text = json.dumps({"data": given}, ensure_ascii=ascii_only, indent=indent)
    assert parse(text, "x").data["data"] == given


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        *((word, word) for word in ("yes", "no", "on", "off", "y", "Yes", "NO", "tRue")),
        *(
            (word, word)
            for word in ("2024-01-01", "12:30:45", "1_000", "0b1", "1e", ".", "=", "<<")
        ),
        *(("true", True), ("False", False), ("null", None), ("~", None), ("", None)),
        *(("12", 12), ("-3", -3), ("010", 10), ("0x1F", 31), ("0o17", 15)),
        *(("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-.inf", float("-inf"))),
    ],
)
def test_words_follow_yaml_1_2(word: str, meaning: Any) -> None:
    value = parse(f"a: {word}\nb: [{word}]\n" if word else "a:\nb: ['']", "x").data["a"]
    assert (value, type(value)) == (meaning, type(meaning))


def test_keys_are_always_text() -> None:
    assert parse("{yes: 1, 2: b, null: c, true: d}", "x").data == {
        "yes": 1,
        "2": "b",
        "null": "c",
        "true": "d",
    }


def test_choices_may_be_yes_and_no(tmp_path: Path) -> None:
    automaton = read(tmp_path, "actions:\n- choices: [yes, no]\n")
    assert automaton.entry == Choose(uid="choose-1", choices=("yes", "no"))


def test_surrogate_pairs_of_json_are_one_character(tmp_path: Path) -> None:
    text = r'{"actions": [{"text": "\ud83d\ude00 \\ud83d \u00e9\/"}]}'
    assert read(tmp_path, text, "a.json").entry == Text(uid="text-1", text="😀 \\ud83d é/")


@pytest.mark.parametrize("escape", [r"\ud83d", r"\ud8zz\udczz", r"\udc00\ud83d"])
def test_half_a_surrogate_pair_is_rejected(escape: str) -> None:
    with pytest.raises(InputError, match="x:1: is not valid YAML: while parsing a quoted scalar"):
        parse('{"a": "' + escape + '"}', "x")


@pytest.mark.parametrize("name", ["program.yaml", "program.json"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path: Path, name: str) -> None:
    expected = read(tmp_path, QUIZ)
    text = QUIZ if name.endswith("yaml") else json.dumps(expected.to_dict(), indent=1)
    windows = "\ufeff" + text.replace("\n", "\r\n")
    assert read(tmp_path, windows, name) == expected


def test_aliases_repeat_the_value_of_their_anchor() -> None:
    text = "a: &x {b: &y [1, &z c]}\nd: *x\n&k e: *y\nf: [*z, *k]\n"
    assert parse(text, "x").data == {"a": {"b": [1, "c"]}, "d": {"b": [1, "c"]}} | {
        "e": [1, "c"],
        "f": ["c", "e"],
    }


@pytest.mark.parametrize(
    ("choices", "successors"),
    [
        ([{"text": "a", "next": "x"}, {"text": "b", "next": "y"}], ("x", "y")),
        ([{"text": "a", "next": "x"}, "b"], ("x", "x")),
        ([{"text": "a", "next": "y"}, "b"], ("y", "x")),
        ([{"text": "a", "next": "y"}, {"each": "l", "next": "end"}], ("y", "end")),
        ([{"text": "a", "next": None}, {"text": "b", "next": "end"}], ()),
        ([{"text": "a", "next": "y"}], ("y",)),
        (["a", "b"], ("x",)),
    ],
)
def test_choices_have_their_own_successors(choices: list[Any], successors: tuple[str, ...]) -> None:
    data = {
        "inputs": {"l": "list"},
        "actions": [
            {"uid": "c", "choices": choices},
            {"uid": "x", "text": "x", "max_visits": 1},
            {"uid": "y", "text": "y"},
            {"uid": "all", "choices": [{"text": f"{n}", "next": n} for n in ("c", "x", "y")]}
            | {"max_visits": 1},
        ],
    }
    # Every action is reached, whatever the first one's choices do.
    data["actions"].insert(0, {**data["actions"].pop(), "uid": "all"})  # type: ignore[attr-defined]
    automaton = Automaton.from_dict(data)
    assert automaton.by_uid["c"].successors == successors
    if "end" in successors:
        assert automaton.actions[-1] == Text(uid="end", text="")


def test_an_action_may_be_called_end() -> None:
    automaton = Automaton.from_dict(
        {
            "actions": [
                {"choices": [{"text": "a", "next": "end"}, {"text": "b", "next": None}]},
                {"uid": "end", "text": "."},
            ]
        }
    )
    assert automaton.entry.successors == ("end", "end-2")
    assert [action.uid for action in automaton.actions] == ["choose-1", "end", "end-2"]


def test_default_uids() -> None:
    actions = [{"text": "a"}, {"name": "x", "choices": ["b"]}, {"name": "x", "length": 1}]
    actions += [{"uid": "text-5", "text": "c"}, {"text": "d"}]
    uids = [action.uid for action in Automaton.from_dict({"actions": actions}).actions]
    assert uids == ["text-1", "x", "x-2", "text-5", "text-5-2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ({"text": "<|end|>", "special": True}, Prompt((TextPiece("<|end|>", True),))),
        ({"text": "<|end|>"}, "<|end|>"),
        ({"text": "{{ a }}", "special": True}, Template("{{ a }}", special=True)),
        ({"text": {"literal": "{{ a }}"}}, "{{ a }}"),
        ({"text": {"literal": "{{ a }}"}, "special": True}, Prompt((TextPiece("{{ a }}", True),))),
        (
            {"text": {"pieces": [{"text": "{{"}, {"text": "b", "special": True}]}},
            Prompt((TextPiece("{{"), TextPiece("b", True))),
        ),
    ],
)
def test_a_text_is_a_template_a_literal_or_pieces(text: dict[str, Any], expected: Any) -> None:
    automaton = Automaton.from_dict({"inputs": {"a": "text"}, "actions": [text]})
    assert automaton.entry.text == expected  # type: ignore[attr-defined]


def test_a_suffix_of_eos() -> None:
    automaton = Automaton.from_dict({"actions": [{"choices": ["a"], "suffix_eos": True}]})
    assert automaton.entry == Choose(uid="choose-1", choices=("a",), suffix=EOS)


def test_a_set_equal_to_a_named_one_stays_a_set() -> None:
    """Once, such a set was read again as a name."""
    digits = Regex("[0-9]")
    action = Complete(uid="c", length=1, vocab=digits, successors="d")
    other = Complete(uid="d", length=1, vocab="digits")
    automaton = Automaton([action, other], {"digits": digits, "more": digits | Regex("a")})
    data = automaton.to_dict()
    assert data["vocabs"]["more"] == {"union": ["digits", {"regex": "a"}]}
    assert Automaton.from_dict(data) == automaton


def test_the_order_of_a_schema_s_keys_is_part_of_the_program() -> None:
    """It is the order of the keys in the text."""

    def program(*keys: str) -> Automaton:
        schema = {"type": "object", "properties": {key: {"type": "null"} for key in keys}}
        return Automaton.from_dict({"actions": [{"length": 9, "json_schema": schema}]})

    (action,) = program("b", "a").to_dict()["actions"]
    assert list(action["json_schema"]["properties"]) == ["b", "a"]
    assert program("b", "a").digest == Automaton.from_dict(program("b", "a").to_dict()).digest
    assert program("b", "a").digest != program("a", "b").digest


def test_sets_with_many_shared_operands_are_not_written() -> None:
    shared = Regex("a")
    for _ in range(60):
        shared = shared | shared  # type: ignore[assignment]
    with pytest.raises(InputError, match=r"cannot write a set .*; add its parts to"):
        Automaton([Complete(uid="c", length=1, vocab=shared)]).to_dict()


def test_data_is_copied() -> None:
    data: dict[str, Any] = {"actions": [{"text": "a"}], "metadata": {"x": [1]}}
    automaton = Automaton.from_dict(data)
    data["metadata"]["x"].append(2)
    assert automaton.metadata == {"x": [1]}
    assert Automaton.from_dict({"actions": ({"text": "a"},)}).entry.uid == "text-1"


def test_defaults_are_not_written() -> None:
    automaton = Automaton(
        [
            Choose(uid="c", choices=("a", "{{ b"), successors=("d", "e"), width=None),
            Complete(uid="d", length=3, stop=("x",), vocab=~Regex("a")),
            Text(uid="e", text="{{ no }}", successors="d"),
        ]
    )
    assert automaton.to_dict() == {
        "autocog": 1,
        "actions": [
            {
                "uid": "c",
                "type": "choose",
                "choices": [{"text": "a", "next": "d"}, {"literal": "{{ b", "next": "e"}],
                "width": None,
            },
            {
                "uid": "d",
                "type": "complete",
                "length": 3,
                "stop": ["x"],
                "vocab": {"complement": {"regex": "a"}},
                "next": None,
            },
            {"uid": "e", "type": "text", "text": {"literal": "{{ no }}"}, "next": "d"},
        ],
    }
