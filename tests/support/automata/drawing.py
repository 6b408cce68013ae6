"""Comparisons on automata that Hypothesis draws, with counts of the covered features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

Case = TypeVar("Case")


def compare_drawn(
    cases: SearchStrategy[Case],
    compare: Callable[[Case], Iterable[str]],
    number: int,
    examples: int,
    *,
    make_small: bool = True,
) -> Counter[str]:
    """Compare a number of cases, and return how many of them have each feature.

    :param compare: fails for a difference; otherwise returns the case's features.
    :param number: the seed.
    :param make_small: search for a smaller failing case, which may take long.
    """
    seen: Counter[str] = Counter()

    @seed(number)
    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate, *([Phase.shrink] if make_small else [])],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def check(case: Case) -> None:
        seen.update(compare(case))

    check()
    return seen
