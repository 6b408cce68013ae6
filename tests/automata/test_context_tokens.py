"""Context tokens: a plain forward over them and a node's tokens gives its log-probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis.strategies import SearchStrategy

from autocog_core import Budget, InputError
from tests.automata.test_drawn_groups import grouped, without_sets
from tests.support.automata.contexts import check_contexts
from tests.support.automata.drawing import compare_drawn
from tests.support.automata.generated import Case, cases
from tests.support.automata.with_fields import cases_with_fields
from tests.support.soak import count

BUDGET = Budget(paths=30)

#: Cases by name, and how many of a normal run.
CASES: dict[str, tuple[SearchStrategy[Case], int]] = {
    "small": (cases("small"), 25),
    "random": (cases("random", "merges"), 10),
    "table": (cases("table", "bytes"), 10),
    "fields": (cases_with_fields("random", "merges"), 10),
    "groups": (grouped(), 10),
}

#: In which of them each of these has to happen.
COVERED = {
    "tokens that do not stay": ("small", "random"),
    "ids of no node": ("groups",),
    "another model or group between": ("groups",),
}


def check_case(case: Case, **options: str) -> Iterator[str]:
    models = case.models()
    main = models[None]
    others = {name: model for name, model in models.items() if name is not None}
    try:
        tree = case.automaton.run(main, models=others, budget=BUDGET, **options)
    except InputError:
        yield "refused"
        return
    yield from check_contexts(case.automaton, models, tree)


@pytest.mark.parametrize("name", CASES)
def test_log_probabilities_equal_plain_forwards(name: str) -> None:
    drawn, normal = CASES[name]
    seen = compare_drawn(drawn, check_case, 7, count(normal=normal, soak=normal * 20))
    check_covered(seen)
    for what, covered in COVERED.items():
        assert name not in covered or seen[what], seen


def test_log_probabilities_of_the_strategy_text_equal_plain_forwards() -> None:
    def check_texts(case: Case) -> Iterator[str]:
        actions = tuple(map(without_sets, case.actions))
        yield from check_case(replace(case, actions=actions), strategy="text")

    normal = count(normal=10, soak=200)
    check_covered(compare_drawn(cases("random", "merges"), check_texts, 8, normal))


def check_covered(seen: Counter[str]) -> None:
    for what in ("choice", "beam", "text"):
        assert seen[f"context of a {what}"], seen
