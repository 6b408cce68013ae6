"""Comparisons of results, and the errors that they raise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import InputError
from autocog_core.testing.law_errors import LawViolation

Row = NDArray[np.float32]
Values = NDArray[np.floating[Any]]


def require_equal(
    expected: Any, got: Any, problem: str, *, given: Any = None, cause: str = ""
) -> None:
    """Check that a result is the expected one.

    :raises LawViolation: with `problem`, `given` and `cause` if it is not.
    """
    if got != expected:
        raise LawViolation(problem, given=given, expected=expected, got=got, cause=cause)


def max_difference(first: Values, second: Values) -> float:
    """Return the largest difference between two rows, in nats.

    Two values of -inf are equal. NaN differs from everything.
    """
    with np.errstate(invalid="ignore"):
        differences = np.where(first == second, 0.0, np.abs(first - second))
    return float(np.where(np.isnan(differences), np.inf, differences).max(initial=0.0))


def logprob_distance(first: float, second: float) -> float:
    """Return the distance between two log-probabilities, in nats.

    Two values of -inf are equal. NaN differs from everything.
    """
    distance = 0.0 if first == second else abs(first - second)
    return math.inf if math.isnan(distance) else distance


def are_close(first: Sequence[float], second: Sequence[float], tolerance: float) -> bool:
    """Return whether two lists have equal lengths and no pair differs by more than `tolerance`."""
    return len(first) == len(second) and all(
        logprob_distance(a, b) <= tolerance for a, b in zip(first, second, strict=True)
    )


def is_refused(call: Callable[[], Any]) -> bool:
    """Return whether a call raises `InputError`."""
    try:
        call()
    except InputError:
        return True
    return False


def round_values(values: Sequence[float] | Values, decimals: int = 4) -> list[float]:
    """Return values as short numbers for a message."""
    return [round(float(value), decimals) for value in values]
