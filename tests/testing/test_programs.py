"""Assertions on the results of programs, and the fixtures of the pytest plugin."""

from __future__ import annotations

import textwrap

import pytest

from autocog_core import Automaton, Choose, Complete, Text
from autocog_core.testing import (
    assert_choice,
    assert_chosen,
    assert_exact,
    assert_path,
    assert_record,
    assert_text,
)
from autocog_core.types.thought_tree import ThoughtTree
from tests.support.small_backends import table_model

pytest_plugins = ["pytester"]
ROWS = {"Right?": {" ": 0.99}, "Right? ": {"y": 0.7, "n": 0.3}, "Right? y": {"!": 0.9}}
PROGRAM = Automaton(
    [
        Text(uid="q", text="Right?", successors="answer"),
        Choose(uid="answer", choices=(" y", " n"), name="verdict", successors="w"),
        Complete(uid="w", length=1, name="mark"),
    ]
)


@pytest.fixture(scope="module")
def tree() -> ThoughtTree:
    return PROGRAM.run(table_model(ROWS))


def test_correct_assertions_pass(tree: ThoughtTree) -> None:
    assert_choice(tree, "answer", "y", min_prob=0.69)
    assert_choice(tree, "verdict", " y")
    assert_text(tree, "w", "[!?]")
    assert_record(tree, {"verdict": "y", "mark": "!"})
    assert_path(tree, ["q", "answer", "w"])
    assert_exact(tree)
    assert_chosen(table_model(ROWS).choose("Right?", [" y", " n"]), "y", min_prob=0.6)


def test_failures_show_the_actual_result(tree: ThoughtTree) -> None:
    failures = {
        "answer: expected 'y' with at least 0.8, got 'y' 0.7": lambda: assert_choice(
            tree, "answer", "y", min_prob=0.8
        ),
        "expected 'n', got 'y'": lambda: assert_choice(tree, "answer", "n"),
        "visited 1 times": lambda: assert_choice(tree, "answer", "y", visit=1),
        "which goes through q, answer, w": lambda: assert_choice(tree, "nowhere", "y"),
        "'!' does not match": lambda: assert_text(tree, "w", "[a-z]"),
        "mark: expected '\\?', got '!'": lambda: assert_record(tree, {"mark": "?"}),
        "expected q > w, got q > answer > w": lambda: assert_path(tree, ["q", "w"]),
        "expected 'n', got": lambda: assert_chosen(
            table_model(ROWS).choose("Right?", [" y", " n"]), "n"
        ),
    }
    for message, check in failures.items():
        with pytest.raises(AssertionError, match=message):
            check()
    by_text = PROGRAM.run(table_model(ROWS), strategy="text")
    assert_choice(by_text, "answer", "y")


def test_inexact_numbers_have_a_reason() -> None:
    model = table_model(ROWS)
    automaton = Automaton(
        [Text(uid="q", text="x", successors="w"), Complete(uid="w", length=3, beams=2)]
    )
    with pytest.raises(AssertionError, match="not exact: w: 2 samples in place of beams"):
        assert_exact(automaton.run(model, strategy="text"))


CONFTEST = 'pytest_plugins = ["autocog_core.testing.fixtures"]'
CONFIG = """
    [models.noise]
    backend = "random"
"""
TESTS = """
    import pytest
    from autocog_core.errors import EngineError

    def test_table(table_model):
        assert table_model({"x": {"y": 0.9}}).choose("x", ["y", "z"]).choice == "y"

    def test_replayed(replayed_model):
        assert replayed_model("noise.jsonl").choose("x", ["a", "b"]).choice in ("a", "b")

    @pytest.mark.real_model
    def test_real():
        pass
"""


def test_the_plugin_replays_its_recording(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(textwrap.dedent(TESTS))
    pytester.path.joinpath("autocog.toml").write_text(textwrap.dedent(CONFIG))
    pytester.runpytest("--record", "noise").assert_outcomes(passed=2, skipped=1)
    pytester.path.joinpath("autocog.toml").unlink()
    pytester.runpytest("--real-models", "--strict-markers").assert_outcomes(passed=3)
    pytester.path.joinpath("noise.jsonl").unlink()
    pytester.runpytest().assert_outcomes(passed=1, failed=1, skipped=1)
