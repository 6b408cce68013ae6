"""Several rows at once: each as if it were alone, and none harmed by another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocog_core import (
    Automaton,
    Budget,
    Choose,
    Complete,
    Each,
    Input,
    InputError,
    Model,
    Template,
    Text,
    hookimpl,
)
from autocog_core.backends.random import RandomLM
from autocog_core.errors import (
    AutocogError,
    CapabilityError,
    ClosedError,
    ContextOverflowError,
    EngineError,
)
from autocog_core.types.thought_tree import ThoughtTree
from tests.program.generated_programs import programs
from tests.support.small_backends import random_model
from tests.support.soak import count

Rows = Sequence[Mapping[str, Any]]

AUTOMATON = Automaton(
    [
        Text(uid="q", text=Template("{{ q }}: "), successors="c"),
        Choose(uid="c", choices=("yes", "no", Each("more")), width=2, successors="w", name="c"),
        Complete(uid="w", length=3, beams=2, name="w"),
    ],
    inputs={"q": Input(), "more": Input("list", default=[])},
)
GOOD: Rows = [{"q": "a"}, {"q": "bc"}, {"q": "a", "more": ["red"]}, {"q": "long " * 9}, {"q": "a"}]


def data(result: ThoughtTree | AutocogError) -> Any:
    """What a row came to, without what it cost."""
    if isinstance(result, AutocogError):
        return type(result), str(result)
    return {key: value for key, value in result.to_dict().items() if key != "stats"}


def alone(automaton: Automaton, model: Model, rows: Rows, **options: Any) -> list[Any]:
    results = []
    for row in rows:
        try:
            results.append(data(automaton.run(model, row, **options)))
        except AutocogError as error:
            results.append(data(error))
    return results


def together(automaton: Automaton, model: Model, rows: Rows, **options: Any) -> list[Any]:
    return [data(result) for result in automaton.run_many(model, rows, **options)]


@pytest.mark.parametrize("concurrency", [1, 2, 4, 99])
def test_rows_come_out_as_each_alone(concurrency: int) -> None:
    model = random_model(seed=1)
    expected = alone(AUTOMATON, model, GOOD)
    assert together(AUTOMATON, model, GOOD, concurrency=concurrency) == expected
    assert expected[0] == expected[4]


@pytest.mark.slow
@settings(max_examples=count(normal=12, soak=25))
@given(programs(runs=True), st.integers(0, 3), st.lists(st.sampled_from(["a", "bc", None, "é"])))
def test_any_automaton_runs_on_rows_as_on_each(
    automaton: Automaton, seed: int, topics: list[str | None]
) -> None:
    model = random_model(seed=seed)
    rows = [{"topic": topic, "options": ["x"]} for topic in topics]
    budget = Budget(paths=30)
    expected = alone(automaton, model, rows, budget=budget)
    assert together(automaton, model, rows, budget=budget, concurrency=3) == expected


class Listening(RandomLM):
    """Counts calls for token trees."""

    calls = 0

    @hookimpl(specname="greedy_tree_impl")
    def greedy_tree_impl(self, queries: Any) -> Any:
        self.calls += 1


def test_rows_share_calls() -> None:
    counts = []
    for concurrency in (1, 5):
        backend = Listening()
        list(AUTOMATON.run_many(Model(backend), GOOD, concurrency=concurrency))
        counts.append(backend.calls)
    assert counts == [5 * 4, 4]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_row_that_fails_becomes_an_error(concurrency: int) -> None:
    model = random_model(seed=1)
    rows = [{}, *GOOD[:2], {"q": "x", "more": "[" * 99}, {"q": "x", "more": ["no"]}, GOOD[2]]
    expected = alone(AUTOMATON, model, rows)
    results = together(AUTOMATON, model, rows, concurrency=concurrency)
    assert results == expected
    assert [type(one) is tuple for one in results] == [True, False, False, True, True, False]
    assert results[0][1].startswith('inputs: "q" is missing; the inputs are q (text), more (list)')
    assert results[3][1].startswith('inputs: "more" is not a list')
    assert results[4][1] == "action \"c\": choices[2] repeats 'no': remove it"


@pytest.mark.parametrize("concurrency", [1, 2, 4])
def test_a_row_too_long_for_the_model_harms_no_other(concurrency: int) -> None:
    model = random_model(seed=1, context_length=30)
    expected = alone(AUTOMATON, model, GOOD)
    results = together(AUTOMATON, model, GOOD, concurrency=concurrency)
    assert results == expected
    assert [one[0] if isinstance(one, tuple) else None for one in results] == [
        *(None, None, None),
        ContextOverflowError,
        None,
    ]


class Failing:
    """A wrapper around an engine that fails whenever a row's text is among what it is asked."""

    def __init__(self, error: Exception, after: bytes = b"bc") -> None:
        self.error = error
        self.after = list(after)
        self.failures = 0

    @hookimpl(wrapper=True)
    def greedy_tree_impl(self, queries: Any) -> Iterator[None]:
        for query in queries:
            ids = list(query.prefix)
            if any(ids[n : n + 2] == self.after for n in range(len(ids))):
                self.failures += 1
                raise self.error
        return (yield)


@pytest.mark.parametrize("concurrency", [1, 2, 3, 5])
@pytest.mark.parametrize("error", [EngineError("it broke"), InputError("it is no prompt")])
def test_an_engine_that_fails_on_one_row_harms_no_other(
    error: AutocogError, concurrency: int
) -> None:
    wrapper = Failing(error)
    model = Model(RandomLM(seed=1), wrappers=[wrapper])
    results = together(AUTOMATON, model, GOOD, concurrency=concurrency)
    expected = alone(AUTOMATON, random_model(seed=1), GOOD)
    assert wrapper.failures
    assert results[1][0] is type(error)
    assert "it broke" in results[1][1] or "it is no prompt" in results[1][1]
    for number in (0, 2, 3, 4):
        assert results[number]["nodes"] == expected[number]["nodes"]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_an_exception_of_an_engine_is_its_rows_error(concurrency: int) -> None:
    broken = RuntimeError("the kernel is gone")
    model = Model(RandomLM(seed=1), wrappers=[Failing(broken)])
    results = list(AUTOMATON.run_many(model, GOOD, concurrency=concurrency))
    error = results[1]
    assert isinstance(error, EngineError)
    assert "Failing (tests.program.test_run_many) raised RuntimeError: the kernel" in str(error)
    assert error.__cause__ is broken
    assert [isinstance(one, ThoughtTree) for one in results] == [True, False, True, True, True]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_closed_model_ends_it_all(concurrency: int) -> None:
    model = random_model()
    coming = AUTOMATON.run_many(model, iter(GOOD), concurrency=concurrency)
    assert isinstance(next(coming), ThoughtTree)
    model.close()
    with pytest.raises(ClosedError):
        list(coming)


def test_what_no_row_could_mend_is_told_before_the_first() -> None:
    rows: list[Any] = []

    def unread() -> Iterator[Mapping[str, Any]]:
        rows.append(1)
        yield {}

    model = random_model()
    broken = Automaton([Text(uid="t", text="x", successors="y")])
    with pytest.raises(InputError, match="unknown successor"):
        next(broken.run_many(model, unread()))
    with pytest.raises(InputError, match=r"whole number >= 1 or .auto., got 0"):
        next(AUTOMATON.run_many(model, unread(), concurrency=0))
    assert not rows


def test_a_capability_that_is_missing_ends_it_all() -> None:
    """No row could have it."""
    asked = Automaton([Text(uid="t", text="x", successors="w"), Complete(uid="w", length=2)])
    limited = Automaton(
        [Text(uid="t", text="x", successors="w"), Complete(uid="w", length=2, eos=False)]
    )
    model = random_model()
    assert all(isinstance(r, ThoughtTree) for r in asked.run_many(model, [{}], strategy="text"))
    with pytest.raises(CapabilityError):
        list(limited.run_many(model, [{}, {}], strategy="text"))


def test_rows_are_read_as_they_are_wanted() -> None:
    """No more rows are held than are at work."""
    read = 0

    def rows() -> Iterator[Mapping[str, Any]]:
        nonlocal read
        while True:
            read += 1
            yield {"q": "a"}

    coming = AUTOMATON.run_many(random_model(), rows(), concurrency=2)
    for _ in range(3):
        next(coming)
    assert read <= 6


def test_a_budget_is_a_rows_own() -> None:
    model = random_model(seed=1)
    expected = alone(AUTOMATON, model, GOOD, budget=Budget(tokens=40))
    results = together(AUTOMATON, model, GOOD, budget=Budget(tokens=40), concurrency=5)
    assert results == expected
    assert {one["stopped_by"] for one in results} >= {"tokens"}


def test_an_empty_list_leaves_the_other_choices() -> None:
    """The way to "x" is lost, and nobody misses it."""
    automaton = Automaton(
        [
            Choose(uid="c", choices=(Each("items"), "none"), successors=("x", "y")),
            Text(uid="x", text="x"),
            Text(uid="y", text="y"),
        ],
        inputs={"items": Input("list")},
    )
    tree = automaton.run(random_model(), {"items": []})
    assert tree.best().text == "noney"
