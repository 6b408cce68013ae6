"""What laws note while they check: the largest difference that they compared, and warnings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from autocog_core.testing.comparison import Values, logprob_distance, max_difference
from autocog_core.testing.law_errors import LawViolation
from autocog_core.types.choice import ChoiceScore


class LawNotes(ABC):
    """Compares log-probabilities at a tolerance, and keeps notes."""

    _largest_difference: float | None = None
    _warnings: tuple[str, ...] = ()

    @property
    @abstractmethod
    def tolerance(self) -> float:
        """The allowed difference between two ways to compute a log-probability, in nats."""

    def is_tolerable(self, difference: float, tokens: int = 1) -> bool:
        """Return whether two computations may differ so much, and note the difference.

        :param difference: the difference of the log-probabilities, in nats.
        :param tokens: of how many tokens; each may differ by the tolerance.
        """
        per_token = difference / max(1, tokens)
        self._largest_difference = max(per_token, self._largest_difference or 0.0)
        return per_token <= self.tolerance

    def are_tolerable(self, expected: Sequence[float], got: Sequence[float]) -> bool:
        """Return whether the log-probabilities of tokens agree, and note the largest difference."""
        if len(expected) != len(got):
            return False
        differences = map(logprob_distance, expected, got)
        return self.is_tolerable(max(differences, default=0.0))

    def agree_on_choices(self, expected: Sequence[ChoiceScore], got: Sequence[ChoiceScore]) -> bool:
        """Return whether two results have the same scores, and note the largest difference."""
        if len(expected) != len(got):
            return False
        agree = True
        for first, second in zip(expected, got, strict=True):
            difference = logprob_distance(first.logprob, second.logprob)
            agree &= self.is_tolerable(difference, len(first.tokens))
        return agree

    def take_largest_difference(self) -> float | None:
        """Return the largest noted difference since the last call, in nats a token."""
        largest, self._largest_difference = self._largest_difference, None
        return largest

    def warn(self, problem: str) -> None:
        """Note a problem that breaks no law."""
        self._warnings = (*self._warnings, problem)

    def take_warnings(self) -> tuple[str, ...]:
        """Return the problems that were noted since the last call."""
        noted, self._warnings = self._warnings, ()
        return noted


def require_close(
    notes: LawNotes,
    expected: Values,
    got: Values,
    problem: str,
    *,
    given: Any,
    cause: str,
) -> None:
    """Check that no two values differ by more than the backend's tolerance.

    :raises LawViolation: with `problem`, `given` and `cause` if they do.
    """
    difference = max_difference(expected, got)
    if not notes.is_tolerable(difference):
        raise LawViolation(
            problem,
            given=given,
            expected=f"differences of at most {notes.tolerance:g}",
            got=difference,
            cause=cause,
        )
