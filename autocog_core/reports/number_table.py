"""The figures of a report as tables of texts: one line for each figure, one column for each run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from autocog_core.reports.figures.definitions import CalibrationError, Mean, Proportion, RunFigures
from autocog_core.reports.figures.report_definitions import PairFigures
from autocog_core.reports.figures.resampling import Interval

#: Characters of a digest: enough to see a difference.
_DIGEST_SHOWN = 12
_Read = TypeVar("_Read")
_Entry = TypeVar("_Entry")
_Figure = Proportion | Mean | CalibrationError


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure.

    :ivar text: its value.
    :ivar interval: its interval; "" without.
    """

    text: str
    interval: str = ""


@dataclass(frozen=True, slots=True)
class TableLine:
    """A figure of all runs.

    :ivar name: what it is.
    :ivar cells: one for each run.
    """

    name: str
    cells: tuple[Cell, ...]


def about_runs(runs: Sequence[RunFigures]) -> list[TableLine]:
    """Return what the runs are."""
    entries: dict[str, Callable[[RunFigures], str]] = {
        "program": lambda run: run.program,
        "digest of the program": lambda run: run.program_digest[:_DIGEST_SHOWN],
        "model": lambda run: run.model,
        "fingerprint": lambda run: run.fingerprint[:_DIGEST_SHOWN],
        "backend": lambda run: run.backend,
        "date": lambda run: run.started.replace("T", " ").replace("+00:00", " UTC"),
        "field": lambda run: run.field or "",
        "right answers": lambda run: "" if run.gold is None else f"column {run.gold}",
        "rows": lambda run: f"{run.rows:,}",
        "rows with an error": lambda run: f"{run.errors:,}" if run.errors else "",
        "file": lambda run: run.file,
        "autocog": lambda run: run.version,
    }
    return list(_lines(entries, lambda read, run: Cell(read(run)), runs))


def run_lines(runs: Sequence[RunFigures]) -> list[TableLine]:
    """Return the figures of runs."""
    entries: dict[str, Callable[[RunFigures], _Figure | None]] = {
        "accuracy": lambda run: run.accuracy,
        "log loss (nats)": lambda run: run.log_loss,
        "Brier score of the answer": lambda run: run.brier,
        "Brier score of all choices": lambda run: run.brier_all,
        "expected calibration error": lambda run: run.calibration_error,
    }
    plain: dict[str, Callable[[RunFigures], Cell]] = {
        "Brier score, within bounds": lambda run: Cell("", format_interval(run.brier_bounds)),
        "mean probability": _mean_prob,
        "area under risk and coverage": lambda run: Cell(
            "" if run.risk_coverage is None else f"{run.risk_coverage.area:.4f}"
        ),
        "different answers": lambda run: Cell(f"{len(run.answers):,}" if run.answers else ""),
        "tokens": lambda run: Cell(f"{run.costs.tokens:,}"),
        "tokens a row": lambda run: Cell(_number(run.costs.tokens_per_row, "{:,.1f}")),
        "time (s)": lambda run: Cell(_number(run.costs.seconds, "{:,.1f}")),
        "time a row (s)": lambda run: Cell(_number(run.costs.seconds_per_row, "{:.3f}")),
    }
    return [
        *_lines(entries, lambda read, run: format_figure(read(run)), runs),
        *_lines(plain, lambda read, run: read(run), runs),
    ]


def pair_lines(pairs: Sequence[PairFigures]) -> list[TableLine]:
    """Return the differences between the first run and the others."""
    entries: dict[str, Callable[[PairFigures], _Figure | None]] = {
        "accuracy": lambda pair: pair.accuracy,
        "log loss (nats)": lambda pair: pair.log_loss,
        "Brier score of the answer": lambda pair: pair.brier,
        "expected calibration error": lambda pair: pair.calibration_error,
    }
    plain: dict[str, Callable[[PairFigures], Cell]] = {
        "rows in both": lambda pair: Cell(f"{pair.rows:,}"),
        "same answers": lambda pair: format_figure(pair.same_answers),
        "right in both or in none": lambda pair: _count(
            pair, pair.judged - pair.only_first - pair.only_second
        ),
        "fixed: only this run is right": lambda pair: _count(pair, pair.only_second),
        "broken: only the first is right": lambda pair: _count(pair, pair.only_first),
        "p (exact McNemar test)": lambda pair: Cell(_number(pair.p_value, "{:.3g}")),
        "KL (nats)": lambda pair: format_figure(pair.divergence),
        "largest KL (nats)": lambda pair: Cell(_number(pair.largest_divergence, "{:.4f}")),
        "rows with other choices": lambda pair: Cell(
            f"{pair.other_choices:,}" if pair.other_choices and pair.divergence else ""
        ),
    }
    return [
        *_lines(entries, lambda read, pair: format_figure(read(pair), "{:+.4f}"), pairs),
        *_lines(plain, lambda read, pair: read(pair), pairs),
    ]


def format_figure(figure: _Figure | None, form: str = "{:.4f}") -> Cell:
    """Return a figure with its interval as text; an infinite mean is ∞, -∞ or ±∞."""
    if figure is None:
        return Cell("")
    if isinstance(figure, Mean) and figure.infinite:
        below = figure.infinite_below
        sign = "" if not below else "-" if below == figure.infinite else "±"
        return Cell(f"{sign}∞", f"{figure.infinite:,} of {figure.rows:,} rows are infinite")
    return Cell(_number(figure.value, form), format_interval(figure.interval, form))


def format_interval(interval: Interval | None, form: str = "{:.4f}") -> str:
    """Return an interval as text; "" for none."""
    return "" if interval is None else " to ".join(map(form.format, interval))


def _lines(
    entries: dict[str, _Read], cell: Callable[[_Read, _Entry], Cell], columns: Sequence[_Entry]
) -> Iterator[TableLine]:
    """Yield the lines that are not empty."""
    for name, read in entries.items():
        cells = tuple(cell(read, entry) for entry in columns)
        if any(entry.text or entry.interval for entry in cells):
            yield TableLine(name, cells)


def _mean_prob(run: RunFigures) -> Cell:
    if run.mean_prob_bounds is not None:
        return Cell("", format_interval(run.mean_prob_bounds))
    return Cell(_number(run.mean_prob, "{:.4f}"))


def _count(pair: PairFigures, rows: int) -> Cell:
    return Cell(f"{rows:,}" if pair.judged else "")


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
