"""Limits of a run in loops: the clock at every node, and the length of a path."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from typing import Any

import pytest

from autocog_core import Automaton, Budget, Choose, Complete, InputError, Model, Text
from autocog_core.evaluation import run_limits
from autocog_core.hooks.automaton_run import MAX_PATH_NODES
from tests.support.small_backends import random_model

WAYS: dict[str, dict[str, Any]] = {
    "breadth first": {},
    "best first": {"order": "best_first"},
    "text strategy": {"strategy": "text"},
}
way = pytest.mark.parametrize("arguments", WAYS.values(), ids=WAYS.keys())


def loop(text: str, visits: int = 10**9) -> Automaton:
    return Automaton([Text(uid="a", text=text, max_visits=visits, successors="a")])


@way
@pytest.mark.parametrize("text", ["", "a"])
def test_a_loop_of_texts_ends_with_the_seconds(text: str, arguments: dict[str, Any]) -> None:
    model = random_model()
    start = time.monotonic()
    tree = loop(text).run(model, budget=Budget(seconds=0.05, nodes=10**9), **arguments)
    assert time.monotonic() - start < 2
    assert tree.stopped_by == "seconds"
    assert tree.nodes[-1].pruned_by == "budget"
    assert not tree.complete


@way
def test_a_path_ends_at_its_number_of_nodes(arguments: dict[str, Any]) -> None:
    tree = loop("a").run(random_model(), budget=Budget(nodes=50), **arguments)
    assert (tree.stopped_by, len(tree.nodes)) == ("nodes", 50)
    assert [node.pruned_by for node in tree.nodes] == [None] * 49 + ["budget"]
    whole = loop("a", visits=50).run(random_model(), budget=Budget(nodes=50), **arguments)
    assert (whole.stopped_by, len(whole.nodes), len(whole.nodes[-1].text)) == (None, 50, 1)


@way
def test_choices_and_completions_count_as_nodes(arguments: dict[str, Any]) -> None:
    automaton = Automaton(
        [
            Text(uid="t", text="x", successors="c"),
            Choose(uid="c", choices=("a", "b"), successors="w", max_visits=10**9),
            Complete(uid="w", length=1, eos=arguments.get("strategy") == "text", successors="c"),
        ]
    )
    tree = automaton.run(random_model(), budget=Budget(nodes=12), **arguments)
    depths: list[int] = []
    for node in tree.nodes:
        depths.append(1 if node.parent < 0 else depths[node.parent] + 1)
    assert (tree.stopped_by, max(depths)) == ("nodes", 12)


def test_a_path_has_a_limit_by_default_and_little_memory() -> None:
    assert Budget().nodes == MAX_PATH_NODES
    automaton = loop("")
    model = random_model()
    tracemalloc.start()
    tree = automaton.run(model, budget=Budget(nodes=5_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tree.stopped_by == "nodes"
    # A million nodes took 600 MB: the default is a tenth of that.
    assert peak / 5_000 * MAX_PATH_NODES < 150e6


def test_many_rows_each_end_with_their_seconds() -> None:
    model = random_model()
    start = time.monotonic()
    trees = list(loop("a").run_many(model, [{}] * 4, budget=Budget(seconds=0.05), concurrency=2))
    assert time.monotonic() - start < 3
    assert [tree.stopped_by for tree in trees] == ["seconds"] * 4  # type: ignore[union-attr]


def test_paths_that_wait_for_their_start_are_not_started_after_the_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One choice opens many paths. Starting each of them takes time."""
    choices = tuple(f"choice {number}" for number in range(30))
    automaton = Automaton(
        [
            Text(uid="t", text="x", successors="c"),
            Choose(uid="c", choices=choices, width=None, successors="d"),
            Choose(uid="d", choices=("a", "b")),
        ]
    )
    # Each look at the clock takes a second.
    ticks = itertools.count()
    monkeypatch.setattr(run_limits.time, "perf_counter", lambda: float(next(ticks)))
    tree = automaton.run(random_model(), budget=Budget(seconds=15))
    assert tree.stopped_by == "seconds"
    assert {node.uid for node in tree.nodes} == {"t", "c"}
    assert all(node.pruned_by == "budget" for node in tree.nodes[1:])


def test_a_clock_that_is_set_does_not_change_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: -1e9)
    assert loop("a", visits=3).run(random_model(), budget=Budget(seconds=60)).stopped_by is None


def test_check_warns_of_loops_without_a_choice_and_of_paths_that_a_run_cuts() -> None:
    several = Automaton(
        [
            Text(uid="a", text="a", successors="b"),
            Text(uid="b", text="b", successors="c"),
            Text(uid="c", text="c", successors="b", max_visits=2 * MAX_PATH_NODES),
        ]
    )
    warnings = [str(finding) for finding in several.check() if finding.warning]
    assert [text.partition(":")[0] for text in warnings] == ['action "c"'] * 2
    assert "a run ends after 100,000 nodes of a path" in warnings[0]
    assert "loop of texts alone" in warnings[1]
    decided = Automaton(
        [
            Text(uid="a", text="a", successors="b"),
            Choose(uid="b", choices=(" a", " b"), successors="a", max_visits=3),
        ]
    )
    assert not [finding for finding in decided.check() if "loop" in finding.message]


def test_the_bound_of_a_paths_length_holds() -> None:
    model: Model = random_model()
    for visits in (1, 5):
        tree = loop("a", visits).run(model)
        assert len(tree.nodes) <= loop("a", visits).max_path_length


def test_the_templates_of_a_run_end_with_its_seconds() -> None:
    slow = "{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}."
    data = {"inputs": {"r": "list"}, "actions": [{"text": slow} for _ in range(100)]}
    automaton, inputs = Automaton.from_dict(data), {"r": list(range(900))}
    start = time.monotonic()
    with pytest.raises(InputError, match="with all texts before it, longer than the run may"):
        automaton.run(random_model(), inputs, budget=Budget(seconds=0.2))
    assert time.monotonic() - start < 3


def test_a_record_ends_with_its_budget() -> None:
    schema = {"type": "array", "items": {"type": "boolean"}, "minItems": 9, "maxItems": 9}
    with pytest.raises(InputError, match="no path is complete: out of nodes"):
        random_model().record("x", schema, budget=Budget(nodes=5))
    assert len(random_model().record("x", schema, budget=Budget(nodes=500)).data) == 9
