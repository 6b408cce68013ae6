"""What is wrong with a program file: all of it at once, each with its line, action and cure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, InputError
from autocog_core.automaton.checks.finding import GRAPH_ERRORS

SHAPE = """\
autocog: 2
inputs:
  n: integr
  q: {typ: text}
vocabs:
  b: {foo: 1}
  c: {difference: [b]}
actions:
- uid: q
  text: 5
  evaluate: yes
- choices: []
- txt: foo
- length: "3"
  stop: 1
- choices:
  - {text: a, literal: b}
  - {each: x, nxt: 1}
  - 7
- choices: [a]
  next: nowhere
- text: {pieces: [{text: a, specal: true}]}
- length: 2
  max_tokens: 3
"""
SHAPE_FAULTS = """\
PATH: 17 faults
  PATH:1: autocog: expected 1, got 2
  PATH:3: inputs.n: expected 'text', 'integer', 'number', 'boolean', 'list' or 'any', got "integr"
  PATH:4: inputs.q.typ: is no key here: did you mean "type"?
  PATH:6: vocabs.b: a set of tokens is a name, or has one of: tokens, strings, regex, union, \
intersect, difference, complement
  PATH:7: vocabs.c.difference: expected 2, got 1
  PATH:10: action "q": text: expected text, got 5; put it in quotes
  PATH:11: action "q": evaluate: expected true or false, got "yes"
  PATH:12: action 2: choices: expected 1 or more, got none
  PATH:13: action 3: an action has one of "text", "choices" or "length"
  PATH:14: action 4: length: expected a whole number, got "3"
  PATH:15: action 4: stop: expected text or a list, got 1
  PATH:17: action 5: choices[0]: expected either text or literal
  PATH:18: action 5: choices[1].nxt: is no key here: did you mean "next"?
  PATH:19: action 5: choices[2]: expected text, got 7; put it in quotes
  PATH:20: action 6: unknown successor "nowhere": valid names: choose-2, choose-5, \
choose-6, complete-4, complete-8, q, text-3, text-7
  PATH:22: action 7: text.pieces[0].specal: is no key here: did you mean "special"?
  PATH:24: action 8: max_tokens: is no key here: did you mean "max_visits"?
"""

MEANING = """\
inputs:
  question: text
  if: text
  k: {type: integer, default: x}
vocabs:
  a: {union: [c]}
  b: {difference: [a, bb]}
actions:
- uid: q
  text: |
    Q: {{ qestion }}
- uid: c
  choices: [a, a, "{% x"]
  next: nowhere
- uid: c
  length: 0
  vocab: bb
- choices: [a]
  suffix: x
  suffix_eos: true
- text: "{{ question|shout }}"
"""
MEANING_FAULTS = """\
PATH: 13 faults
  PATH:3: inputs.if: is no name that a template can use
  PATH:4: inputs.k.default: is no integer
  PATH:6: vocabs.a: unknown set of tokens "c": valid names: a, b
  PATH:7: vocabs.b: unknown set of tokens "bb": did you mean "b"?
  PATH:9: action "q": a template names the unknown input "qestion": did you mean "question"?
  PATH:12: action "c": choice 1, 'a', was given before
  PATH:12: action "c": template: Encountered unknown tag 'x'.; what is no template goes into \
{literal: "..."}
  PATH:12: action "c": unknown successor "nowhere": valid names: c, c-2, choose-4, q, text-5
  PATH:15: action "c": uid: another action has the uid "c" too
  PATH:15: action "c": length is 0: give 1 or more
  PATH:17: action "c": vocab: unknown set of tokens "bb": did you mean "b"?
  PATH:18: action 4: it has both suffix and suffix_eos
  PATH:21: action 5: template, line 1: there is no filter "shout"; did you mean "sort"?
"""


ONE_OF = 'an action has one of "text", "choices" or "length"'
QUOTES = 'a text that begins with "{{" goes in quotes'
PYTHON = 'PATH:1: the tag "tag:yaml.org,2002:python/name:os.system" is not known'
ESCAPE = "write it as an escape, in double quotes"
UNKNOWN = 'unknown successor "a": valid names: text-1'
NO_PATTERN = "'[' is no regular expression: unterminated character set at position 1"
NO_SETS = 'unknown set of tokens "a": there are no "vocabs"'
CIRCLE = "vocabs:\n  a: {union: [b]}\n  b: {complement: a}\nactions: [{length: 1, vocab: a}]"


def message(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "p.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError) as raised:
        Automaton.from_file(path)
    return str(raised.value).replace(str(path), "PATH")


@pytest.mark.parametrize(
    ("text", "expected"), [(SHAPE, SHAPE_FAULTS), (MEANING, MEANING_FAULTS)], ids=["shape", "sense"]
)
def test_all_faults_are_told_at_once_each_with_its_line(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert message(tmp_path, text).splitlines() == expected.splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "PATH: is empty"),
        ("# nothing", "PATH: is empty"),
        ("- a", 'PATH: is no program; a program is a mapping with a list "actions"'),
        ("inputs: {a: text}", "PATH: actions: is missing"),
        ("actions: []", "PATH:1: actions: expected 1 or more, got none"),
        ("actions: {a: b}", "PATH:1: actions: expected a list, got a mapping"),
        ("actions:\n- text: a\n- just text", "PATH:3: action 2: " + ONE_OF),
        ("actions:\n- text: a\n  text: b", 'PATH:3: "text" is given twice'),
        ("actions:\n- text: {{ a }}", "PATH:2: a key must be text; " + QUOTES),
        ("a: 1\n--- \nb: 2", "PATH:2: a second document begins here"),
        ("a: !!python/name:os.system x", PYTHON),
        ("a: !mine [1]", 'PATH:1: the tag "!mine" is not known'),
        ("a: *b", 'PATH:1: the alias "b" names nothing yet'),
        ("a: &b [*b]", 'PATH:1: the alias "b" names nothing yet'),
        ("a:\n  \x07", "PATH:2: holds the character U+0007, which is no text; " + ESCAPE),
        (b"a:\n- \xff", "PATH:2: is no UTF-8 text"),
        ("actions: [{text: a, next: a}]", "PATH:1: action 1: " + UNKNOWN),
        ("actions:\n- {text: a, uid: a, next: a}", 'PATH:2: action "a": ' + GRAPH_ERRORS[1]),
        ("actions:\n- {text: a, next: end}\n- text: b", "PATH:3: action 2: no path leads to it"),
        (CIRCLE, "PATH:2: vocabs.a: is made of itself: a > b > a"),
        ("vocabs:\n  a: {regex: '['}\nactions: [{text: a}]", "PATH:2: vocabs.a: " + NO_PATTERN),
        ("actions:\n- {length: 1, vocab: a}", "PATH:2: action 1: vocab: " + NO_SETS),
        (
            "actions: [{length: 1.5}]",
            "PATH:1: action 1: length: expected a whole number, got 1.5",
        ),
    ],
)
def test_a_single_fault_is_one_line(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert message(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "line"), [("a: [1,\nb: 2", 2), ("a: 'x\n\n", 2), ("a: b: c", 1), ("a: @x", 1)]
)
def test_what_is_no_yaml_is_told_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    found = message(tmp_path, text)
    assert found.startswith(f"PATH:{line}: ")
    assert "\n" not in found


def test_a_template_without_quotes_is_told_how_to_mend_it(tmp_path: Path) -> None:
    found = message(tmp_path, "actions:\n- text: {% if a %}b{% endif %}\n")
    assert found.startswith("PATH:2: ")
    assert found.endswith('; put what has "{{" or "{%" in it in quotes')


def test_a_file_that_is_missing_or_a_folder(tmp_path: Path) -> None:
    for path, reason in ((tmp_path, "directory"), (tmp_path / "a.yaml", "No such file")):
        with pytest.raises(InputError, match=f"cannot be read: .*{reason}") as raised:
            Automaton.from_file(path)
        assert raised.value.where == str(path)


def test_data_has_no_lines_but_places() -> None:
    data = {"actions": [{"text": "a"}, {"uid": "c", "choices": ["a", {"text": 1}]}]}
    with pytest.raises(InputError) as raised:
        Automaton.from_dict(data)
    expected = 'program: action "c": choices[1].text: expected text, got 1; put it in quotes'
    assert str(raised.value) == expected


@pytest.mark.parametrize(
    "data",
    [
        {"actions": [{"text": "a", "metadata": {1: 2}}]},
        {"actions": [{"text": {"literal": b"a"}}]},
        {"actions": [{"text": "a", 1: 2}]},
        {"actions": [{"text": "a", "<x>": 2}], "<x>": 3},
        {"actions": [{"text": "\ud800"}]},
        {"actions": [{"choices": ["\ud800"]}]},
        {"actions": [{"length": 1, "stop": "\ud800"}]},
        {"actions": [{"length": True}]},
        {"autocog": True, "actions": [{"text": "a"}]},
        {"actions": [{"length": 1, "seed": -1}]},
        {"actions": [{"length": 1, "length_penalty": float("nan")}]},
        {"actions": [{"length": 1, "temperature": float("inf")}]},
        {"actions": [{"length": 1, "threshold": float("nan")}]},
        {"actions": [{"length": 1, "beams": 10**9}]},
        {"actions": [{"length": 1, "samples": 10**9}]},
        {"actions": [{"length": 1, "threshold": 10**400}]},
        {"inputs": {"a b": "text"}, "actions": [{"text": "a"}]},
        {"inputs": {"_a": "text"}, "actions": [{"text": "a"}]},
        {"inputs": {"a": {"type": "number", "default": 10**400}}, "actions": [{"text": "a"}]},
        None,
        [],
        "actions",
    ],
    ids=repr,
)
def test_what_is_wrong_is_one_error_of_ours(data: Any) -> None:
    with pytest.raises(InputError):
        Automaton.from_dict(data)


def test_of_many_faults_the_first_are_told(tmp_path: Path) -> None:
    found = message(tmp_path, "actions:\n" + "- {text: 1}\n" * 60).splitlines()
    assert found[0] == "PATH: more than 50 faults, of which the first are"
    assert found[1:] == [
        f"  PATH:{line}: action {line - 1}: text: expected text, got 1; put it in quotes"
        for line in range(2, 52)
    ]


def test_long_names_and_texts_are_cut_in_messages(tmp_path: Path) -> None:
    long = "x" * 10_000
    text = f"actions:\n- uid: {long}\n  choices: [{long}, {long}]\n  next: {long}y\n"
    text += f"  ? {long}\n  : 1\n"
    found = message(tmp_path, text)
    assert len(found) < 1_000
    assert found.count("...") >= 2
