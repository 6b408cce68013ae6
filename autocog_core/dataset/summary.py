"""Totals over all rows of an output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from autocog_core.dataset.accuracy import Accuracy, AnswerCounter
from autocog_core.dataset.output_row import read_output_row
from autocog_core.errors import InputError
from autocog_core.types.backend_info import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Totals over all rows.

    :ivar rows: number of rows.
    :ivar errors: rows with an error.
    :ivar stopped: rows that a budget limit ended.
    :ivar tokens: tokens that the models evaluated.
    :ivar first_error: the first row with an error.
    :ivar accuracy: accuracy and calibration; None without right answers.
    :ivar marginal_accuracy: the same for the likeliest value of the field over all paths, and its
        probability there; None without marginals of this field.
    :ivar usage: usage of this run by model, of the models that count it.
    """

    rows: int
    errors: int
    stopped: int
    tokens: int
    first_error: Mapping[str, Any] | None = None
    accuracy: Accuracy | None = None
    marginal_accuracy: Accuracy | None = None
    usage: Mapping[str, Usage] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


class SummaryBuilder:
    """Sums over rows that are added one by one.

    :param field: the field to compare with each row's `gold`; None for no comparison.
    :param has_marginals: whether the rows have the marginals of this field.
    :ivar errors: rows with an error so far.
    """

    def __init__(self, field: str | None = None, *, has_marginals: bool = False) -> None:
        self._answers = None if field is None else AnswerCounter(field)
        self._marginals = AnswerCounter(field) if has_marginals and field is not None else None
        self.errors = 0
        self._rows = self._stopped = self._tokens = 0
        self._first_error: Mapping[str, Any] | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` described."""
        builder = cls()
        builder.errors, builder._rows = data["errors"], data["rows"]
        builder._stopped, builder._tokens = data["stopped"], data["tokens"]
        builder._first_error = data["first_error"]
        answers, marginals = data["answers"], data["marginals"]
        builder._answers = None if answers is None else AnswerCounter.from_dict(answers)
        builder._marginals = None if marginals is None else AnswerCounter.from_dict(marginals)
        return builder

    def without_rows(self) -> Self:
        """Return a builder of the same sums, without any row."""
        field = None if self._answers is None else self._answers.field
        return type(self)(field, has_marginals=self._marginals is not None)

    def to_dict(self) -> dict[str, Any]:
        """Return the sums as plain data for JSON, from which `from_dict` goes on."""
        return {
            "rows": self._rows,
            "errors": self.errors,
            "stopped": self._stopped,
            "tokens": self._tokens,
            "first_error": self._first_error,
            "answers": None if self._answers is None else self._answers.to_dict(),
            "marginals": None if self._marginals is None else self._marginals.to_dict(),
        }

    @property
    def answered(self) -> int:
        """Rows so far with the field and a right answer."""
        return 0 if self._answers is None else self._answers.answered

    @property
    def right(self) -> int:
        """Rows among these whose answer is right."""
        return 0 if self._answers is None else self._answers.right

    def add(self, row: Mapping[str, Any]) -> None:
        """Add an output row."""
        self._rows += 1
        if row["error"] is not None:
            self.errors += 1
            self._first_error = self._first_error or row
            return
        self._stopped += row["stopped_by"] is not None
        self._tokens += row["tokens_evaluated"]
        if self._answers is not None:
            self._answers.add_best_path(row)
        if self._marginals is not None:
            self._marginals.add_marginal(row)

    def summary(self) -> Summary:
        """Return the summary of the rows so far."""
        return Summary(
            rows=self._rows,
            errors=self.errors,
            stopped=self._stopped,
            tokens=self._tokens,
            first_error=self._first_error,
            accuracy=None if self._answers is None else self._answers.accuracy(),
            marginal_accuracy=None if self._marginals is None else self._marginals.accuracy(),
        )


def summarize(
    output: Path,
    field: str | None = None,
    rows: int | None = None,
    *,
    has_marginals: bool = False,
) -> Summary:
    """Return the summary of an output file, read in one pass.

    :param output: the output file.
    :param field: the field to compare with each row's `gold`; None for no comparison.
    :param rows: the number of rows that it must have; None for any.
    :param has_marginals: whether the rows have the marginals of this field.
    :raises InputError: if the file cannot be read as output rows.
    """
    builder = SummaryBuilder(field, has_marginals=has_marginals)
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
