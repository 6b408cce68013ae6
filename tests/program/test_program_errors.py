"""The errors of a program file: all at once, each with its line, its action and a hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, InputError

SCHEMA = """\
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
SCHEMA_ERRORS = """\
PATH: 17 errors
  PATH:1: autocog: expected 1, got 2
  PATH:3: inputs.n: expected "text", "integer", "number", "boolean", "list" or "any", got "integr"
  PATH:4: inputs.q.typ: unknown key; did you mean "type"?
  PATH:6: vocabs.b: expected the name of a vocab, or a mapping with one of the keys tokens, \
strings, regex, union, intersect, difference, complement
  PATH:7: vocabs.c.difference: expected 2 entries, got 1
  PATH:10: action "q": text: expected text, got 5; put it in quotes
  PATH:11: action "q": evaluate: expected true or false, got "yes"
  PATH:12: action 2: choices: is empty; give at least 1
  PATH:13: action 3: expected a mapping with one of the keys "text", "messages", "choices", \
"length", "record" or "ask"; did you mean "text"?
  PATH:14: action 4: length: expected a whole number, got "3"
  PATH:15: action 4: stop: expected text or a list, got 1
  PATH:17: action 5: choices[0]: expected either "text" or "literal"
  PATH:18: action 5: choices[1].nxt: unknown key; did you mean "next"?
  PATH:19: action 5: choices[2]: expected text, got 7; put it in quotes
  PATH:20: action 6: unknown successor "nowhere"; valid names: choose-2, choose-5, \
choose-6, complete-4, complete-8, q, text-3, text-7
  PATH:22: action 7: text.pieces[0].specal: unknown key; did you mean "special"?
  PATH:24: action 8: max_tokens: unknown key; did you mean "max_visits"?
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
MEANING_ERRORS = """\
PATH: 13 errors
  PATH:3: inputs.if: the name is reserved in templates; choose another one
  PATH:4: inputs.k.default: is not an integer: "x"
  PATH:6: vocabs.a: unknown vocab "c"; valid names: a, b
  PATH:7: vocabs.b: unknown vocab "bb"; did you mean "b"?
  PATH:9: action "q": unknown input "qestion" in a template; did you mean "question"?
  PATH:12: action "c": choices[1] repeats 'a': remove it
  PATH:12: action "c": template: Encountered unknown tag 'x'; for text that is not a template: \
{literal: "..."}
  PATH:12: action "c": unknown successor "nowhere"; valid names: c, c-2, choose-4, q, text-5
  PATH:15: action "c": uid: another action has the uid "c" too
  PATH:15: action "c": length is 0: give 1 or more
  PATH:17: action "c": vocab: unknown vocab "bb"; did you mean "b"?
  PATH:18: action 4: has both suffix and suffix_eos: give one of them
  PATH:21: action 5: template, line 1: unknown filter "shout"; did you mean "sort"?
"""


PYTHON = "tag:yaml.org,2002:python/name:os.system"
ACTION_KEYS = (
    'expected a mapping with one of the keys "text", "messages", "choices", "length", "record" or '
    '"ask"'
)
QUOTES = 'put a text that begins with "{{" in quotes'
TAGS = 'put a text that begins with "!" in quotes; programs have no tags'
ALIAS = 'put a text that begins with "*" in quotes, or define "&b" before it'
PROGRAM = 'a program is a mapping with a list "actions"'
DOCUMENTS = "write each program into its own file"
ESCAPE = "which YAML does not allow; remove it, or write it as an escape in double quotes"
UNKNOWN = 'unknown successor "a"; valid names: text-1'
NO_PATTERN = "'[' is not a valid regular expression: unterminated character set at position 1"
NO_SETS = 'unknown vocab "a"; the program has no vocabs'
NO_PATH = "no path leads to this action: remove it, or make it the next of another action"
ENDLESS = "is on an endless cycle: give max_visits to an action of the cycle"
CIRCLE = "vocabs:\n  a: {union: [b]}\n  b: {complement: a}\nactions: [{length: 1, vocab: a}]"


def message(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "p.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError) as raised:
        Automaton.from_file(path)
    return str(raised.value).replace(str(path), "PATH")


@pytest.mark.parametrize(
    ("text", "expected"),
    [(SCHEMA, SCHEMA_ERRORS), (MEANING, MEANING_ERRORS)],
    ids=["schema", "meaning"],
)
def test_all_errors_are_reported_with_their_lines(tmp_path: Path, text: str, expected: str) -> None:
    assert message(tmp_path, text).splitlines() == expected.splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "PATH: is empty"),
        ("# nothing", "PATH: is empty"),
        (
            "- a",
            'PATH: expected a mapping, got a list; a program is a mapping with a list "actions"',
        ),
        ("inputs: {a: text}", "PATH: actions: is missing"),
        ("actions: []", "PATH:1: actions: is empty; give at least 1"),
        ("actions: {a: b}", "PATH:1: actions: expected a list, got a mapping"),
        ("actions:\n- text: a\n- just text", "PATH:3: action 2: " + ACTION_KEYS),
        ("actions:\n- lenght: 2", "PATH:2: action 1: " + ACTION_KEYS + '; did you mean "length"?'),
        (
            "actions:\n- {length: 2, choices: [a]}",
            "PATH:2: action 1: length: is a key of complete actions, but this is a choose action",
        ),
        (
            "actions:\n- {text: a, width: 3}",
            "PATH:2: action 1: width: "
            "is a key of choose and complete actions, but this is a text action",
        ),
        (
            "actions:\n- text: {peices: []}",
            'PATH:2: action 1: text: expected text, or a mapping with one of the keys "literal", '
            '"pieces"; did you mean "pieces"?',
        ),
        (
            "actions:\n- text:",
            'PATH:2: action 1: text: expected text, got null; an empty text is ""',
        ),
        ("actions:\n- text: a\n  text: b", 'PATH:3: duplicate key "text"'),
        ("actions:\n- text: {{ a }}", "PATH:2: a key is not text; " + QUOTES),
        (
            "a: 1\n--- \nb: 2",
            "PATH:2: a second document begins here; " + DOCUMENTS,
        ),
        ("a: !!python/name:os.system x", f'PATH:1: unknown tag "{PYTHON}"; {TAGS}'),
        ("a: !mine [1]", f'PATH:1: unknown tag "!mine"; {TAGS}'),
        ("a: *b", f'PATH:1: unknown alias "b"; {ALIAS}'),
        ("a: &b [*b]", f'PATH:1: unknown alias "b"; {ALIAS}'),
        (
            "a:\n  \x07",
            "PATH:2: contains the character U+0007, " + ESCAPE,
        ),
        (b"a:\n- \xff", "PATH:2: is not valid UTF-8; save the file as UTF-8 text"),
        ("actions: [{text: a, next: a}]", "PATH:1: action 1: " + UNKNOWN),
        ("actions:\n- {text: a, uid: a, next: a}", 'PATH:2: action "a": ' + ENDLESS),
        ("actions:\n- {text: a, next: end}\n- text: b", "PATH:3: action 2: " + NO_PATH),
        (CIRCLE, "PATH:2: vocabs.a: contains itself: a > b > a"),
        ("vocabs:\n  a: {regex: '['}\nactions: [{text: a}]", "PATH:2: vocabs.a: " + NO_PATTERN),
        ("actions:\n- {length: 1, vocab: a}", "PATH:2: action 1: vocab: " + NO_SETS),
        (
            "actions: [{length: 1.5}]",
            "PATH:1: action 1: length: expected a whole number, got 1.5",
        ),
    ],
)
def test_a_single_error_is_one_line(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert message(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "line"), [("a: [1,\nb: 2", 2), ("a: 'x\n\n", 2), ("a: b: c", 1), ("a: @x", 1)]
)
def test_invalid_yaml_is_reported_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    output = message(tmp_path, text)
    assert output.startswith(f"PATH:{line}: is not valid YAML: ")
    assert "\n" not in output


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("actions:\n\t- text: a", "indent with spaces, not with tabs"),
        ("actions:\n- text: a: b", 'put a text with ": " in quotes'),
        ("actions:\n- text: *a* b", 'put a text that begins with "*" or "&" in quotes'),
        ("actions:\n  - text: a\n   - text: b", "check the indentation"),
    ],
)
def test_common_mistakes_in_yaml_get_a_hint(tmp_path: Path, text: str, hint: str) -> None:
    assert message(tmp_path, text).endswith(f"; {hint}")


def test_an_open_quote_is_reported_with_its_first_line(tmp_path: Path) -> None:
    assert "quoted scalar from line 2: " in message(tmp_path, "actions:\n- text: 'a\n- text: b\n")


def test_a_template_without_quotes_gets_a_hint(tmp_path: Path) -> None:
    output = message(tmp_path, "actions:\n- text: {% if a %}b{% endif %}\n")
    assert output.startswith("PATH:2: ")
    assert output.endswith('; put texts with "{{" or "{%" in quotes')


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    for path, reason in ((tmp_path, "directory"), (tmp_path / "a.yaml", "No such file")):
        with pytest.raises(InputError, match=f"cannot be read: .*{reason}") as raised:
            Automaton.from_file(path)
        assert raised.value.where == str(path)


def test_errors_of_data_have_places_without_lines() -> None:
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
def test_invalid_data_raises_an_input_error(data: Any) -> None:
    with pytest.raises(InputError):
        Automaton.from_dict(data)


def test_only_the_first_of_many_errors_are_reported(tmp_path: Path) -> None:
    output = message(tmp_path, "actions:\n" + "- {text: 1}\n" * 60).splitlines()
    assert output[0] == "PATH: more than 50 errors, the first are"
    assert output[1:] == [
        f"  PATH:{line}: action {line - 1}: text: expected text, got 1; put it in quotes"
        for line in range(2, 52)
    ]


def test_messages_shorten_long_names_and_texts(tmp_path: Path) -> None:
    long = "x" * 10_000
    text = f"actions:\n- uid: {long}\n  choices: [{long}, {long}]\n  next: {long}y\n"
    text += f"  ? {long}\n  : 1\n"
    output = message(tmp_path, text)
    assert len(output) < 1_000
    assert output.count("...") >= 2
