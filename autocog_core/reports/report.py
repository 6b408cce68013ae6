"""A report of one run, or of several on the same rows."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autocog_core.dataset.output_format import JOURNAL_SUFFIX
from autocog_core.errors import InputError
from autocog_core.reports.figures.matching import Match, match_runs
from autocog_core.reports.figures.pair_figures import pair_figures
from autocog_core.reports.figures.report_definitions import ReportFigures
from autocog_core.reports.figures.run_columns import RunColumns, journal_of, read_run
from autocog_core.reports.figures.run_figures import run_figures


@dataclass(frozen=True, kw_only=True)
class Report:
    """Runs, and the figures about them.

    :ivar runs: the runs, in the order given.
    :ivar matches: the common rows of the first run with each of the others.
    :ivar figures: the figures.
    """

    runs: tuple[RunColumns, ...]
    matches: tuple[Match, ...]
    figures: ReportFigures

    def first_row(self, number: int, row: int) -> int | None:
        """Return the row of the first run that is the same as a row of another run.

        :param number: the number of the other run; 0 is the first one itself.
        :param row: its row.
        """
        if number == 0:
            return row
        pairs = self.matches[number - 1].pairs
        return next((one.row for one, other in pairs if other.row == row), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain data for JSON: `autocog_core/schemas/report.json`."""
        data = _plain(asdict(self.figures))
        assert isinstance(data, dict)
        return data


def make_report(
    outputs: Sequence[Path],
    *,
    gold: str | None = None,
    field: str | None = None,
    by: str | None = None,
) -> Report:
    """Read the outputs of finished runs, and compute the figures of a report.

    :param outputs: the output files, at least one: .jsonl, or tables beside their journals.
    :param gold: `COLUMN` or `FIELD=COLUMN` with the right answers; None takes those of the runs.
    :param field: the field; None takes the one with right answers, or the last named choice.
    :param by: a column of the input that divides the rows into groups.
    :raises InputError: if an output cannot be read, has no such field or column, or has no rows in
        common with the first one.
    """
    journals = [journal_of(output).resolve() for output in outputs]
    for index, journal in enumerate(journals):
        if journal in journals[:index]:
            message = "is given twice"
            raise InputError(message, where=str(outputs[index]), hint="name another output")
    names = _names(outputs)
    runs = tuple(
        read_run(output, name=name, gold=gold, field=field)
        for output, name in zip(outputs, names, strict=True)
    )
    matches = tuple(match_runs(runs[0], other) for other in runs[1:])
    figures = ReportFigures(
        runs=tuple(run_figures(run, by) for run in runs),
        pairs=tuple(
            pair_figures(runs[0], other, match)
            for other, match in zip(runs[1:], matches, strict=True)
        ),
    )
    return Report(runs=runs, matches=matches, figures=figures)


def _names(outputs: Sequence[Path]) -> list[str]:
    """Return short names for outputs: their files', or their paths if two files have one name."""
    names = [output.name.removesuffix(JOURNAL_SUFFIX) for output in outputs]
    return names if len(set(names)) == len(names) else [str(output) for output in outputs]


def report_json(report: Report) -> str:
    """Return the figures as a JSON document."""
    return json.dumps(report.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Return plain data without numbers that JSON lacks."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
