"""Totals over all rows of an output, and the accuracy and calibration of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autocog_core.dataset.calibration import Calibration
from autocog_core.dataset.expected import is_right_row
from autocog_core.dataset.output_row import last_value, read_output_row
from autocog_core.errors import InputError
from autocog_core.numerics import wilson_interval
from autocog_core.types.backend_info import Usage


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
        for a field without `prob`.
    :ivar brier: Brier score, the mean of (prob - right)**2, where `right` is 1 or 0. None for a
        field without `prob`.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Totals over all rows.

    :ivar rows: number of rows.
    :ivar errors: rows with an error.
    :ivar stopped: rows that a budget limit ended.
    :ivar tokens: tokens that the models evaluated.
    :ivar first_error: the first row with an error.
    :ivar accuracy: accuracy and calibration; None without right answers.
    :ivar usage: usage of this run by model, of the models that count it.
    """

    rows: int
    errors: int
    stopped: int
    tokens: int
    first_error: Mapping[str, Any] | None = None
    accuracy: Accuracy | None = None
    usage: Mapping[str, Usage] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


class SummaryBuilder:
    """Sums over rows that are added one by one.

    :param field: the field to compare with each row's `gold`; None for no comparison.
    :ivar errors: rows with an error so far.
    :ivar answered: rows so far with the field and a right answer.
    :ivar right: rows among these whose answer is right.
    """

    def __init__(self, field: str | None = None) -> None:
        self._field = field
        self.errors = 0
        self._rows = self._stopped = self._tokens = 0
        self._first_error: Mapping[str, Any] | None = None
        self.answered = self.right = self._impossible = 0
        self._impossible_row: Mapping[str, Any] | None = None
        self._calibration = Calibration()

    def add(self, row: Mapping[str, Any]) -> None:
        """Add an output row."""
        self._rows += 1
        if row["error"] is not None:
            self.errors += 1
            self._first_error = self._first_error or row
            return
        self._stopped += row["stopped_by"] is not None
        self._tokens += row["tokens_evaluated"]
        if self._field is not None:
            self._add_answer(self._field, row)

    def summary(self) -> Summary:
        """Return the summary of the rows so far."""
        return Summary(
            rows=self._rows,
            errors=self.errors,
            stopped=self._stopped,
            tokens=self._tokens,
            first_error=self._first_error,
            accuracy=None if self._field is None else self._accuracy(self._field),
        )

    def _add_answer(self, field: str, row: Mapping[str, Any]) -> None:
        is_right = is_right_row(row, field)
        if is_right is None:
            return
        if row.get("gold_choice", "") is None:
            self._impossible += 1
            self._impossible_row = self._impossible_row or row
        self.answered += 1
        self.right += is_right
        probs = row["probs"].get(field)
        # A later action of another kind may have the same name: then the share is not the answer's.
        if probs is not None and _count(probs) == _count(row["fields"][field]):
            self._calibration.add(last_value(probs), is_right)

    def _accuracy(self, field: str) -> Accuracy:
        right, answered = self.right, self.answered
        return Accuracy(
            field=field,
            answered=answered,
            right=right,
            accuracy=right / answered if answered else None,
            interval=wilson_interval(right, answered) if answered else None,
            calibration_error=self._calibration.error,
            brier=self._calibration.brier,
            impossible=self._impossible,
            impossible_row=self._impossible_row,
        )


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list) else 1


def summarize(output: Path, field: str | None = None, rows: int | None = None) -> Summary:
    """Return the summary of an output file, read in one pass.

    :param output: the output file.
    :param field: the field to compare with each row's `gold`; None for no comparison.
    :param rows: the number of rows that it must have; None for any.
    :raises InputError: if the file cannot be read as output rows.
    """
    builder = SummaryBuilder(field)
    try:
        with output.open("rb") as stream:
            for index, line in enumerate(stream):
                row = read_output_row(line, index)
                if row is None:
                    where = f"{output}, line {index + 1}"
                    raise InputError(f"is not row {index}: the file was changed", where=where)
                builder.add(row)
    except OSError as error:
        message = f"cannot be read as output rows: {error.strerror or error}"
        raise InputError(message, where=str(output)) from error
    summary = builder.summary()
    if rows is not None and summary.rows != rows:
        message = f"has {summary.rows:,} rows, not {rows:,}: the file was changed"
        raise InputError(message, where=str(output))
    return summary
