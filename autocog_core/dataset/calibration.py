"""How well the probabilities of answers agree with how often the answers are right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

#: Number of bins of the expected calibration error.
BINS = 10


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
        entry = self.bins[min(int(prob * BINS), BINS - 1)]
        entry.prob_sum += prob
        entry.right += is_right

    @property
    def error(self) -> float | None:
        """Expected calibration error; None without answers."""
        gaps = sum(abs(entry.prob_sum - entry.right) for entry in self.bins)
        return gaps / self.count if self.count else None

    @property
    def brier(self) -> float | None:
        """Brier score, the mean of (prob - right)**2; None without answers."""
        return self.squared_errors / self.count if self.count else None
