"""Accuracy of the answers of output rows, and calibration of their probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from dataclasses import field as dataclass_field
from typing import Any, Self

from autocog_core.dataset.calibration import Calibration
from autocog_core.dataset.expected import is_right_marginal, is_right_row
from autocog_core.dataset.output_row import last_value
from autocog_core.numerics import wilson_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Accuracy of the answers, and calibration of their probabilities.

    :ivar field: the field that is compared with the right answer (`is_same_answer`).
    :ivar answered: rows with the field and a right answer; the other numbers are about these.
    :ivar right: number of right answers.
    :ivar accuracy: share of right answers; None if there are no answers.
    :ivar interval: Wilson's 95% interval of the accuracy; None if there are no answers.
    :ivar calibration_error: expected calibration error over ten bins of equal width of the field's
        `prob`: the mean of |accuracy - mean `prob`| of the bins, weighted by their answers. None
        for a field without `prob`, or if the `prob` of a row is only known within bounds.
    :ivar brier: Brier score, the mean of (prob - right)**2, where `right` is 1 or 0. None
        likewise.
    :ivar impossible: number of right answers that are none of the choices of their row.
    :ivar impossible_row: the first row with such a right answer.
    """

    field: str
    answered: int
    right: int
    accuracy: float | None
    interval: tuple[float, float] | None
    calibration_error: float | None
    brier: float | None
    impossible: int = 0
    impossible_row: Mapping[str, Any] | None = None


@dataclass(slots=True)
class AnswerCounter:
    """Counts answers that are added one by one.

    :ivar field: the field to compare with each row's `gold`.
    :ivar answered: rows so far with the field and a right answer.
    :ivar right: rows among these whose answer is right.
    :ivar impossible: rows among these whose right answer is none of their choices.
    :ivar impossible_row: the first of them.
    :ivar has_unknown_probs: whether the `prob` of a row is only known within bounds.
    :ivar calibration: the sums over the answers with a `prob`.
    """

    field: str
    answered: int = 0
    right: int = 0
    impossible: int = 0
    impossible_row: Mapping[str, Any] | None = None
    has_unknown_probs: bool = False
    calibration: Calibration = dataclass_field(default_factory=Calibration)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` described."""
        return cls(**{**data, "calibration": Calibration.from_dict(data["calibration"])})

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    def add_best_path(self, row: Mapping[str, Any]) -> None:
        """Add the answer of a row's best path."""
        is_right = is_right_row(row, self.field)
        if is_right is None:
            return
        self._add(row, is_right)
        probs = row["probs"].get(self.field)
        # A later action of another kind may have the same name: then the share is not the answer's.
        prob = last_value(probs)
        if prob is not None and _count(probs) == _count(row["fields"][self.field]):
            self.calibration.add(prob, is_right)
        elif row.get("prob_bounds") is not None:
            # Of the rows with a known share alone, it would say little about all answers.
            self.has_unknown_probs = True

    def add_marginal(self, row: Mapping[str, Any]) -> None:
        """Add the likeliest value of a row over all paths."""
        is_right = is_right_marginal(row, self.field)
        if is_right is not None:
            self._add(row, is_right)
            self.calibration.add(row["marginals"][self.field]["values"][0]["prob"], is_right)

    def accuracy(self) -> Accuracy:
        """Return the accuracy of the answers so far."""
        right, answered = self.right, self.answered
        return Accuracy(
            field=self.field,
            answered=answered,
            right=right,
            accuracy=right / answered if answered else None,
            interval=wilson_interval(right, answered) if answered else None,
            calibration_error=None if self.has_unknown_probs else self.calibration.error,
            brier=None if self.has_unknown_probs else self.calibration.brier,
            impossible=self.impossible,
            impossible_row=self.impossible_row,
        )

    def _add(self, row: Mapping[str, Any], is_right: bool) -> None:
        if row.get("gold_choice", "") is None:
            self.impossible += 1
            self.impossible_row = self.impossible_row or row
        self.answered += 1
        self.right += is_right


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list) else 1
