"""The charts of a report's page, each with its title, its legend and what it shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from autocog_core.reports.charts.calibration_charts import (
    histogram_chart,
    reliability_chart,
    risk_chart,
)
from autocog_core.reports.charts.confusion_chart import confusion_chart
from autocog_core.reports.charts.interval_chart import Line, difference_chart, share_chart
from autocog_core.reports.charts.marks import legend
from autocog_core.reports.figures.definitions import RunFigures
from autocog_core.reports.figures.report_definitions import ReportFigures

_MAX_GROUPS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PageChart:
    """A chart.

    :ivar title: its title.
    :ivar svg: the picture.
    :ivar caption: how to read it.
    :ivar legend: what its colors are.
    """

    title: str
    svg: Markup
    caption: str
    legend: Markup | None = None


def page_charts(figures: ReportFigures) -> Iterator[PageChart]:
    """Yield the charts that the figures allow."""
    runs = figures.runs
    names = [run.name for run in runs]
    if len(runs) > 1:
        yield from _side_by_side(figures)
    if any(run.reliability for run in runs):
        yield PageChart(
            title="Reliability",
            svg=reliability_chart([run.reliability for run in runs]),
            caption="All points have about the same number of rows. On the dashed line, answers "
            "are right as often as their probabilities say; below it, the probabilities are too "
            "high. The bars are 95% intervals.",
            legend=legend(names),
        )
    curves = [(run.name, run.risk_coverage) for run in runs if run.risk_coverage is not None]
    if curves:
        yield PageChart(
            title="Risk against coverage",
            svg=risk_chart([curve for _, curve in curves]),
            caption="The share of wrong answers if only the rows with the highest probabilities "
            "are answered. A curve that rises from the left says that probabilities separate right "
            "answers from wrong ones.",
            legend=legend([name for name, _ in curves]),
        )
    for number, run in enumerate(runs):
        yield from _run_charts(number, run, len(runs) > 1)


def _run_charts(number: int, run: RunFigures, is_named: bool) -> Iterator[PageChart]:
    suffix = f": {run.name}" if is_named else ""
    if run.histogram:
        yield PageChart(
            title=f"Probabilities of the answers{suffix}",
            svg=histogram_chart(f"histogram-{number}", run.histogram),
            caption="The number of rows by the probability of their answers.",
            legend=_parts(run),
        )
    if run.confusion and len(run.confusion) > 1:
        yield PageChart(
            title=f"Right answers against answers{suffix}",
            svg=confusion_chart(f"confusion-{number}", run.confusion),
            caption="Lines are right answers, columns are answers, numbers are rows; the stronger "
            "the color, the larger the share of its line. Blue is right.",
        )
    groups = [group for group in run.groups if group.accuracy is not None][:_MAX_GROUPS]
    if len(groups) > 1:
        yield PageChart(
            title=f"Accuracy by {run.by}{suffix}",
            svg=share_chart(
                f"groups-{number}",
                f"Accuracy by {run.by}",
                "accuracy",
                [
                    Line(
                        name=group.value,
                        value=group.accuracy.value,
                        interval=group.accuracy.interval,
                        note=f"{group.accuracy.count} of {group.accuracy.rows} right",
                    )
                    for group in groups
                    if group.accuracy is not None
                ],
            ),
            caption="With Wilson's 95% intervals; the largest groups first.",
        )


def _side_by_side(figures: ReportFigures) -> Iterator[PageChart]:
    shares = [
        Line(name=run.name, value=run.accuracy.value, interval=run.accuracy.interval, series=number)
        for number, run in enumerate(figures.runs)
        if run.accuracy is not None
    ]
    if shares:
        yield PageChart(
            title="Accuracy",
            svg=share_chart("accuracy", "Accuracy of the runs", "accuracy", shares),
            caption="With Wilson's 95% intervals. To compare runs, look at the differences: "
            "intervals of runs on the same rows may overlap although one is better.",
        )
    differences = [
        Line(
            name=pair.second,
            value=pair.accuracy.value,
            interval=pair.accuracy.interval,
            series=number,
        )
        for number, pair in enumerate(figures.pairs, 1)
        if pair.accuracy is not None and pair.accuracy.value is not None
    ]
    if differences:
        first = figures.runs[0].name
        yield PageChart(
            title=f"Accuracy, more than {first}",
            svg=difference_chart(
                "differences", f"Accuracy, more than {first}", "difference", differences
            ),
            caption="Differences on the same rows, with paired 95% bootstrap intervals. An "
            "interval that holds 0 says that chance may explain the difference.",
        )


def _parts(run: RunFigures) -> Markup | None:
    """Return the legend of a histogram."""
    totals = {
        "right": sum(entry.right for entry in run.histogram),
        "wrong": sum(entry.wrong for entry in run.histogram),
        "unjudged": sum(entry.unjudged for entry in run.histogram),
    }
    names: dict[str, str] = {"right": "right", "wrong": "wrong", "unjudged": "no right answer"}
    entry = Markup('<span class="legend-entry"><span class="swatch {}"></span>{}</span>')
    shown: Sequence[str] = [part for part, rows in totals.items() if rows]
    if shown == ["unjudged"]:
        return None
    return Markup('<p class="legend">{}</p>').format(
        Markup("").join(entry.format(part, names[part]) for part in shown)
    )
