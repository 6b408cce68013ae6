"""Charts about probabilities: reliability, risk against coverage, histogram."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from autocog_core.reports.charts.marks import marker, path
from autocog_core.reports.charts.svg import Axis, Frame, chart, count_axis, element, share_axis
from autocog_core.reports.figures.definitions import HistogramBin, ReliabilityBin, RiskCoverage


def reliability_chart(series: Sequence[Sequence[ReliabilityBin]]) -> Markup:
    """Return a reliability diagram: the share of right answers against the mean probability.

    :param series: the bins of each run.
    """
    frame = Frame(share_axis("mean probability of the answers"), share_axis("share that is right"))
    return chart(
        "reliability",
        "Reliability diagram",
        "The share of right answers of rows with neighboring probabilities, with 95% intervals. "
        "On the dashed diagonal, answers are right as often as their probabilities say; below it, "
        "the probabilities are too high.",
        frame,
        [frame.line(0, 0, 1, 1, "diagonal"), *_reliability_marks(frame, series)],
    )


def _reliability_marks(
    frame: Frame, series: Sequence[Sequence[ReliabilityBin]]
) -> Iterator[Markup]:
    for number, bins in enumerate(series):
        for entry in bins:
            low, high = entry.right.interval
            yield frame.line(
                entry.mean_prob, low, entry.mean_prob, high, f"error-bar series-{number % 4}"
            )
        yield path(number, [(frame.x(b.mean_prob), frame.y(b.right.value)) for b in bins])
        for entry in bins:
            text = (
                f"probability {entry.low:.3f} to {entry.high:.3f}, mean {entry.mean_prob:.3f}: "
                f"{entry.right.count} of {entry.right.rows} right, {entry.right.value:.3f}"
            )
            yield marker(number, frame.x(entry.mean_prob), frame.y(entry.right.value), text)


def risk_chart(series: Sequence[RiskCoverage]) -> Markup:
    """Return the share of wrong answers among the surest rows, against their share of all rows."""
    largest = max(point.risk for curve in series for point in curve.points)
    top = next(limit for limit in (0.1, 0.2, 0.5, 1.0) if largest <= limit)
    risk = Axis(
        label="share that is wrong", low=0, high=top, ticks=[top * part / 5 for part in range(6)]
    )
    frame = Frame(share_axis("share of the rows, surest first"), risk)
    marks = []
    for number, curve in enumerate(series):
        points = [(frame.x(p.coverage), frame.y(p.risk)) for p in curve.points]
        marks.append(path(number, points))
        last = curve.points[-1]
        marks.append(marker(number, *points[-1], f"all rows: {last.risk:.3f} wrong"))
    return chart(
        "risk",
        "Risk against coverage",
        "The share of wrong answers if only the rows with the highest probabilities are answered.",
        frame,
        marks,
    )


def histogram_chart(key: str, bins: Sequence[HistogramBin]) -> Markup:
    """Return the number of rows by the probability of their answers.

    :param key: an id that no other chart of the page has.
    :param bins: the bins.
    """
    largest = max(entry.right + entry.wrong + entry.unjudged for entry in bins)
    frame = Frame(share_axis("probability of the answer"), count_axis("rows", largest))
    marks = []
    for entry in bins:
        base = 0
        parts = {"right": entry.right, "wrong": entry.wrong, "unjudged": entry.unjudged}
        for name, rows in parts.items():
            if rows:
                text = f"{entry.low:.2f} to {entry.high:.2f}: {rows} {_PARTS[name]}"
                marks.append(_box(frame, entry, base, base + rows, name, text))
                base += rows
    return chart(
        key,
        "Probabilities of the answers",
        "The number of rows by the probability of their answers; right answers are below, wrong "
        "ones above.",
        frame,
        marks,
    )


_PARTS = {"right": "right", "wrong": "wrong", "unjudged": "without a right answer"}


def _box(
    frame: Frame, entry: HistogramBin, low: float, high: float, name: str, text: str
) -> Markup:
    left, right = frame.x(entry.low) + 0.5, frame.x(entry.high) - 0.5
    return element(
        "rect",
        element("title", text),
        x=left,
        y=frame.y(high),
        width=right - left,
        height=frame.y(low) - frame.y(high),
        class_=f"box {name}",
    )
