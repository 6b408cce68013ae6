"""How well the probabilities of answers agree with how often the answers are right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from autocog_core.numerics import Float64Array, Int64Array

#: Number of bins of the expected calibration error.
BINS = 10


def bin_of(prob: float) -> int:
    """Return the bin of a probability: bins of equal width, and 1 is in the last one."""
    return min(int(prob * BINS), BINS - 1)


def bins_of(probs: Float64Array) -> Int64Array:
    """Return the bins of probabilities: (n,) -> (n,)."""
    return np.minimum((probs * BINS).astype(np.int64), BINS - 1)


def error_of_gaps(gaps: ArrayLike, count: int) -> Float64Array:
    """Return the expected calibration error (Naeini, Cooper and Hauskrecht 2015).

    It is the mean of |accuracy - mean probability| of the bins, weighted by their answers.

    :param gaps: (..., BINS), the sum of probability - right over the answers of each bin.
    :param count: the number of answers in all bins.
    :returns: (...,).
    """
    return np.asarray(np.abs(np.asarray(gaps, dtype=np.float64)).sum(axis=-1) / count)


@dataclass(slots=True)
class _Bin:
    """Expected and actual number of right answers in a bin."""

    prob_sum: float = 0.0
    right: int = 0


@dataclass(slots=True)
class Calibration:
    """Sums over answers that are added one by one.

    :ivar count: number of answers.
    :ivar squared_errors: sum of (prob - right)**2.
    :ivar bins: sums over the answers of each bin.
    """

    count: int = 0
    squared_errors: float = 0.0
    bins: list[_Bin] = field(default_factory=lambda: [_Bin() for _ in range(BINS)])

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` described."""
        return cls(data["count"], data["squared_errors"], [_Bin(**entry) for entry in data["bins"]])

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    def add(self, prob: float, is_right: bool) -> None:
        """Add an answer and its probability."""
        self.count += 1
        self.squared_errors += (prob - is_right) ** 2
        entry = self.bins[bin_of(prob)]
        entry.prob_sum += prob
        entry.right += is_right

    @property
    def error(self) -> float | None:
        """Expected calibration error; None without answers."""
        gaps = [entry.prob_sum - entry.right for entry in self.bins]
        return float(error_of_gaps(gaps, self.count)) if self.count else None

    @property
    def brier(self) -> float | None:
        """Brier score, the mean of (prob - right)**2; None without answers."""
        return self.squared_errors / self.count if self.count else None
