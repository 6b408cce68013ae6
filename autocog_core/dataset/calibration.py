"""How well the probabilities of answers agree with how often the answers are right."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    """

    count: int = 0
    _squared_errors: float = 0.0
    _bins: list[_Bin] = field(default_factory=lambda: [_Bin() for _ in range(BINS)])

    def add(self, prob: float, is_right: bool) -> None:
        """Add an answer and its probability."""
        self.count += 1
        self._squared_errors += (prob - is_right) ** 2
        entry = self._bins[min(int(prob * BINS), BINS - 1)]
        entry.prob_sum += prob
        entry.right += is_right

    @property
    def error(self) -> float | None:
        """Expected calibration error; None without answers."""
        gaps = sum(abs(entry.prob_sum - entry.right) for entry in self._bins)
        return gaps / self.count if self.count else None

    @property
    def brier(self) -> float | None:
        """Brier score, the mean of (prob - right)**2; None without answers."""
        return self._squared_errors / self.count if self.count else None
