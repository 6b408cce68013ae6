"""Files of the older format: they run with the same meaning, and their extra keys are metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocog_core import Automaton, Choose, Complete, InputError, Text
from autocog_core.automaton import Regex, Strings, Tokens, Union
from tests.support.small_backends import random_model

OLDER: dict[str, Any] = {
    "actions": [
        {
            "uid": "root",
            "type": "text",
            "text": "Is {{ this }} a test? ",
            "evaluate": False,
            "successors": ["branch"],
            "field": None,
            "indices": [],
        },
        {
            "uid": "branch",
            "type": "choose",
            "choices": ["yes", "no {%"],
            "width": 2,
            "threshold": 0.25,
            "successors": ["more", "branch.1"],
            "field": 3,
            "provenance": {"line": 4},
        },
        {
            "uid": "more",
            "type": "complete",
            "length": 4,
            "beams": 2,
            "ahead": 1,
            "width": None,
            "threshold": None,
            "stop_text": ".",
            "vocab": "letters",
            "successors": ["branch.0"],
        },
        {"uid": "branch.0", "type": "text", "text": "", "successors": []},
        {"uid": "branch.1", "type": "text", "text": "", "evaluate": False, "successors": []},
    ],
    "vocabs": {
        "words": {"kind": "tokenize", "strings": ["ab", " c"]},
        "letters": {"kind": "diff", "operands": ["lower", {"kind": "regex", "strings": ["[xyz]"]}]},
        "lower": {"kind": "regex", "strings": ["[a-z]"]},
        "either": {"kind": "union", "operands": ["words", "lower"]},
        "both": {"kind": "intersect", "operands": ["words", "lower"]},
        "neither": {"kind": "complement", "operands": ["either"]},
        "two": {"kind": "regex", "strings": ["a+", "b+"]},
    },
    "queue": [1],
    "metadata": {"by": "somebody"},
}


def older(**changes: Any) -> dict[str, Any]:
    """An older file of one action."""
    action = {"uid": "a", "type": "complete", "length": 2, "successors": []} | changes
    return {"actions": [{key: value for key, value in action.items() if value != ...}]}


def test_an_older_file_gives_the_automaton(tmp_path: Path) -> None:
    path = tmp_path / "older.json"
    path.write_text(json.dumps(OLDER))
    words, lower = Tokens(("ab", " c")), Regex("[a-z]")
    letters = lower - Regex("[xyz]")
    assert Automaton.from_file(path) == Automaton(
        [
            Text(
                uid="root",
                text="Is {{ this }} a test? ",
                successors="branch",  # type: ignore[arg-type]
                metadata={"field": None, "indices": []},
            ),
            Choose(
                uid="branch",
                choices=("yes", "no {%"),
                width=2,
                threshold=0.25,
                threshold_on="mean",
                successors=("more", "branch.1"),
                metadata={"field": 3, "provenance": {"line": 4}},
            ),
            Complete(
                uid="more",
                length=4,
                beams=2,
                width=None,
                stop=(".",),
                vocab="letters",
                successors=("branch.0",),
            ),
            Text(uid="branch.0", text=""),
            Text(uid="branch.1", text=""),
        ],
        {
            "words": words,
            "lower": lower,
            "letters": letters,
            "either": words | lower,
            "both": words & lower,
            "neither": ~(words | lower),
            "two": Union((Regex("a+"), Regex("b+"))),
        },
        metadata={"queue": [1], "metadata": {"by": "somebody"}},
    )


def test_an_older_file_converts_to_the_current_format_and_runs() -> None:
    automaton = Automaton.from_dict(OLDER)
    assert Automaton.from_dict(automaton.to_dict()) == automaton
    model = random_model(seed=1)
    tree = automaton.run(model)
    assert tree.complete
    nodes = [node for node in tree.nodes if node.uid == "branch"]
    expected = model.choose("Is {{ this }} a test? ", ["yes", "no {%"])
    assert [node.prob for node in nodes] == pytest.approx([s.prob for s in expected.scores])


def test_the_threshold_is_the_mean_probability_of_its_tokens() -> None:
    """A long choice of likely tokens is followed, however small its share."""
    model = random_model(seed=3)
    scores = model.choose("x", ["abcd", "e", "f"]).scores
    means = [float(2.718281828459045 ** (sum(s.token_logprobs) / len(s.tokens))) for s in scores]
    order = sorted(range(3), key=lambda i: -means[i])
    best = max(range(3), key=lambda i: scores[i].logprob)
    for threshold in (means[order[0]] - 1e-6, means[order[1]] - 1e-6, means[order[2]] - 1e-6):
        tree = Automaton.from_dict(
            {
                "actions": [
                    {"uid": "x", "type": "text", "text": "x", "successors": ["c"]},
                    {
                        "uid": "c",
                        "type": "choose",
                        "choices": ["abcd", "e", "f"],
                        "width": None,
                        "threshold": threshold,
                        "successors": [],
                    },
                ]
            }
        ).run(model)
        is_followed = [node.pruned_by is None for node in tree.nodes if node.uid == "c"]
        assert is_followed == [i == best or means[i] >= threshold for i in range(3)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ahead": 2}, 'action "a": ahead: values other than 1 are not supported; remove the key'),
        ({"type": "loop"}, 'action "a": type: expected "text", "choose" or "complete"'),
        ({"type": ["text"]}, 'action "a": type: expected "text", "choose" or "complete"'),
        ({"successors": "a"}, 'action "a": successors: expected a list'),
        ({"successors": {"a": "b"}}, 'action "a": successors: expected a list'),
        ({"successors": ["a", "a"]}, 'action "a": successors: expected at most 1 entry, got 2'),
        ({"length": "2"}, 'action "a": length: expected a whole number, got "2"'),
        ({"length": ...}, 'action "a": length: is missing'),
        ({"lenght": 2}, 'action "a": lenght: unknown key; did you mean "length"?'),
        ({"vocab": "v"}, 'action "a": vocab: unknown vocab "v"; the program has no vocabs'),
        ({"uid": 3}, "action 1: uid: expected text, got 3; put it in quotes"),
        (
            {"type": "choose", "choices": ["a"], "length": ..., "successors": ["a", "b"]},
            'action "a": successors: expected 1 entries (one per choice), or at most 1, got 2',
        ),
        ({"type": "choose", "length": ...}, 'action "a": choices: is missing'),
        ({"type": "text", "length": ...}, 'action "a": text: is missing'),
    ],
    ids=str,
)
def test_invalid_actions_are_rejected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        Automaton.from_dict(older(**changes))
    assert str(raised.value).startswith(f"program: {message}")


@pytest.mark.parametrize(
    ("vocab", "message"),
    [
        ({"kind": "xor"}, "vocabs.v: kind: expected one of tokenize, regex, union"),
        ({"kind": "union", "operands": 3}, "vocabs.v: expected lists as strings and operands"),
        ({"kind": "regex", "strings": "a"}, "vocabs.v: expected lists as strings and operands"),
        ({"kind": "complement", "operands": []}, "vocabs.v: expected 1 operand, got 0"),
        ({"kind": "diff", "operands": ["v"]}, "vocabs.v.difference: expected 2 entries, got 1"),
        ({"kind": "complement", "operands": ["v"]}, "vocabs.v: contains itself: v > v"),
        ({"kind": "union", "operands": ["w"]}, 'vocabs.v: unknown vocab "w"'),
    ],
    ids=str,
)
def test_invalid_sets_are_rejected(vocab: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        Automaton.from_dict(older() | {"vocabs": {"v": vocab}})
    assert str(raised.value).startswith(f"program: {message}")


def test_all_errors_are_reported_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "older.json"
    broken = older(ahead=3)
    broken["actions"] += [
        {"uid": "b", "type": "choose", "choices": [1], "successors": ["nowhere"]},
        {"uid": "c", "type": "text", "text": "x", "successors": ["elsewhere"]},
    ]
    broken["colour"] = "red"
    path.write_text(json.dumps(broken, indent=1))
    with pytest.raises(InputError) as raised:
        Automaton.from_file(path)
    assert str(raised.value).replace(str(path), "PATH").splitlines() == [
        "PATH: 4 errors",
        '  PATH:8: action "a": ahead: values other than 1 are not supported; remove the key',
        '  PATH:14: action "b": choices[0].literal: expected text, got 1; put it in quotes',
        '  PATH:20: action "c": unknown successor "elsewhere"; valid names: a, b, c',
        "  PATH:29: colour: unknown key; valid names: actions, field, indices, metadata, "
        "provenance, queue, vocabs",
    ]


values = st.recursive(
    st.one_of(st.none(), st.integers(-1, 3), st.sampled_from(["a", "text", "union", ""])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(["kind", "strings", "operands", "uid", "type", "successors"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=5,
)
KEYS = (
    *("uid", "type", "text", "choices", "length", "threshold", "width", "beams", "ahead"),
    *("stop_text", "vocab", "evaluate", "successors", "field"),
)


@settings(max_examples=200)
@given(
    st.sampled_from(["actions", "vocabs"]),
    st.integers(0, 4),
    st.sampled_from(KEYS),
    values,
    st.sampled_from(["one", "all"]),
)
def test_any_value_is_accepted_or_rejected(
    part: str, number: int, key: str, value: Any, how: str
) -> None:
    data = json.loads(json.dumps(OLDER))
    if how == "all":
        data[part] = value
    elif part == "actions":
        data["actions"][number][key] = value
    else:
        data["vocabs"][list(data["vocabs"])[number]] = value
    try:
        automaton = Automaton.from_dict(data)
    except InputError:
        return
    assert not automaton.errors()


def test_a_file_with_older_sets_only_is_older() -> None:
    """An older file may have sets but no actions with successors."""
    data = {"actions": [{"type": "text", "text": "{{"}], "vocabs": {"v": {"kind": "tokenize"}}}
    automaton = Automaton.from_dict(data)
    assert automaton.vocabs == {"v": Tokens(())}
    assert automaton.entry == Text(uid="text-1", text="{{")
    assert Strings(()) != Tokens(())
