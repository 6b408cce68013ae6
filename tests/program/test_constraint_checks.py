"""Constraints that cannot be used are found before a run, most of them without a model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocog_core import Automaton, Complete, InputError, Text
from autocog_core.automaton.checks import constraint_checks
from autocog_core.constraints.beginning import fixed_beginning
from autocog_core.evaluation.constraint_length import count_fewest_tokens
from tests.program.test_automaton_checks import findings
from tests.support.small_backends import random_model


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ({"regex": "[a-z"}, "the regex cannot be used: unclosed character class"),
        ({"regex": "(?=a)b"}, "the regex cannot be used: look-around"),
        ({"regex": r"(a)\1"}, "the regex cannot be used: backreferences are not supported"),
        ({"regex": r"[^\s\S]"}, "the regex cannot be used: it allows no text"),
        ({"regex": "a", "followed_by": "("}, "followed_by: the regex cannot be used: unclosed"),
        ({"regex": "a", "followed_by": "[^\\s\\S]"}, "followed_by: the regex cannot be used: it"),
        ({"grammar": ""}, "the grammar cannot be used: no start rule found"),
        ({"grammar": 'start: "a" b'}, 'the grammar cannot be used: at 1(8): unknown name: "b"'),
        ({"grammar": "start: start"}, "the grammar cannot be used: it allows no text"),
        ({"grammar": "start: x\nx: " + '"a"' * 90_000}, "the grammar has 270,012 characters; the"),
        ({"json_schema": False}, "the JSON Schema cannot be used: no value is valid"),
        (
            {"json_schema": {"type": "integer", "minimum": 2, "maximum": 1}},
            "the JSON Schema cannot be used: no value is valid: minimum (2) is greater",
        ),
        ({"json_schema": {"$ref": "#"}}, "the JSON Schema cannot be used: it allows no text"),
        ({"json_schema": {"enum": [math.nan]}}, "json_schema is not JSON: Out of range"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_constraints_that_no_text_meets(constraint: dict[str, Any], expected: str) -> None:
    (error,) = findings([Complete(uid="t", length=9, **constraint)])
    assert error.startswith(f'action "t": {expected}')
    assert "\n" not in error
    assert len(error) < 300
    if "followed_by" not in constraint:
        (key,) = constraint
        with pytest.raises(InputError) as raised:
            random_model().complete("x", **constraint)
        assert raised.value.where == key
        assert str(raised.value).removeprefix(f"{key}: ").startswith(expected)


@settings(max_examples=50, deadline=None)
@given(st.text("ab", min_size=1, max_size=7), st.sets(st.text("ab", min_size=1, max_size=4)))
def test_the_fewest_tokens_of_a_text(text: str, tokens: set[str]) -> None:
    """The twin tries all sequences of tokens."""

    def fewest(rest: str) -> float:
        after = [fewest(rest[len(token) :]) for token in tokens if rest.startswith(token)]
        after += [0 for token in tokens if token.startswith(rest)]
        return 1 + min(after, default=math.inf) if rest else 0

    expected = fewest(text)
    vocabulary = [b"", *(token.encode() for token in tokens)]
    assert count_fewest_tokens(text.encode(), vocabulary) == (
        None if expected == math.inf else expected
    )


def test_a_length_that_no_text_of_a_constraint_fits() -> None:
    """Known are the bytes with which all its texts begin."""
    schema = {"type": "object", "properties": {"ab": {"enum": ["c", "d"]}}, "required": ["ab"]}
    for constraint, fixed in (
        ({"regex": "abcdef(g|h)"}, "abcdef"),
        ({"regex": "abcdef|x"}, ""),
        ({"regex": "(abc)?"}, ""),
        ({"grammar": 'start: "ab" x\nx: "c" ("d" | "e")'}, "abc"),
        ({"json_schema": schema}, '{"ab": "'),
    ):
        action = Complete(uid="t", length=2, **constraint)  # type: ignore[arg-type]
        assert action.constraint is not None
        assert fixed_beginning(action.constraint) == fixed.encode()
        # One byte is one token.
        model = random_model()
        expected = [
            f'action "t": its constraint takes at least {len(fixed)} tokens, and its length is 2: '
            "give a larger length"
        ]
        assert findings([action], model) == expected * (len(fixed) > 2)
        assert not findings([replace(action, length=8)], model)


def test_constraints_are_checked_up_to_a_total_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def program(size: int, number: int) -> Automaton:
        actions = [
            Complete(uid=f"c{n}", length=1, regex=f"{n}" + "a" * size, successors=f"c{n + 1}")
            for n in range(number)
        ]
        return Automaton([*actions, Text(uid=f"c{number}", text="x")])

    # Left recursion, and large repetitions, are no problem.
    assert not findings([Complete(uid="t", length=9, grammar='start: start "a" | "a"')])
    assert not findings([Complete(uid="t", length=9, regex="(a{1000}){1000}")])
    monkeypatch.setattr(constraint_checks, "MAX_CONSTRAINTS_SIZE", 50_000)
    assert not program(10, 20).errors()
    for size, number, last in ((9_999, 9, "c4"), (10, 60, "c24")):
        (error,) = program(size, number).errors()
        assert error.uid == last
        assert "the constraints up to here are too large" in error.message
