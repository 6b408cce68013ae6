"""Automata that Hypothesis draws, each compared with something slower; and what they have shown."""

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
    """Compare so many cases; returns in how many of them each thing has happened.

    :param compare: Fails where there is a difference; else says what has happened.
    :param number: others for another one.
    :param make_small: Search for a small failing case, which may take long.
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
