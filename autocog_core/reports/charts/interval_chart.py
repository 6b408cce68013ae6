"""Values with their intervals, one line each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from autocog_core.controls import picture_controls
from autocog_core.errors import shorten
from autocog_core.reports.charts.marks import marker
from autocog_core.reports.charts.svg import Axis, Frame, chart, element, round_step, share_axis
from autocog_core.reports.figures.resampling import Interval

_LINE_HEIGHT = 26
_MAX_NAME = 18
_NAME_WIDTH = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A value with its interval.

    :ivar name: what it is about.
    :ivar value: the value.
    :ivar interval: its ends; None for none.
    :ivar series: number of the series.
    :ivar note: what a pointer on it shows beside the numbers.
    """

    name: str
    value: float
    interval: Interval | None
    series: int = 0
    note: str = ""


def share_chart(key: str, title: str, label: str, lines: Sequence[Line]) -> Markup:
    """Return shares with their intervals.

    :param key: an id that no other chart of the page has.
    :param title: what they are.
    :param label: what the axis shows.
    :param lines: the shares, at least one.
    """
    return _interval_chart(key, title, share_axis(label), lines)


def difference_chart(key: str, title: str, label: str, lines: Sequence[Line]) -> Markup:
    """Return differences with their intervals, on both sides of 0; see `share_chart`."""
    ends = [abs(end) for line in lines for end in (*(line.interval or ()), line.value)]
    largest = max([*ends, 1e-3])
    step = round_step(largest / 2)
    ticks = [-2 * step, -step, 0.0, step, 2 * step]
    axis = Axis(label=label, low=-2 * step, high=2 * step, ticks=ticks, format="{:+.3g}".format)
    return _interval_chart(key, title, axis, lines)


def _interval_chart(key: str, title: str, axis: Axis, lines: Sequence[Line]) -> Markup:
    count = len(lines)
    rows = Axis(label="", low=-0.5, high=count - 0.5, ticks=())
    frame = Frame(axis, rows, _NAME_WIDTH, 54 + count * _LINE_HEIGHT)
    marks = [frame.line(tick, -0.5, tick, count - 0.5, "grid") for tick in axis.ticks]
    if axis.low < 0:
        marks.append(frame.line(0, -0.5, 0, count - 0.5, "axis"))
    texts = []
    for index, line in enumerate(lines):
        place = count - 1 - index
        color = f"error-bar series-{line.series % 4}"
        if line.interval is not None:
            marks.append(frame.line(line.interval[0], place, line.interval[1], place, color))
        text = f"{line.name}: {_text(line)}{line.note and f', {line.note}'}"
        marks.append(marker(line.series, frame.x(line.value), frame.y(place), text))
        shown = picture_controls(shorten(line.name or "(empty)", _MAX_NAME))
        name = element("title", line.name) + Markup.escape(shown)
        y = frame.y(place) + 4
        marks.append(element("text", name, x=_NAME_WIDTH - 8, y=y, class_="tick end"))
        texts.append(text)
    return chart(key, title, "; ".join(texts[:20]), frame, marks)


def _text(line: Line) -> str:
    if line.interval is None:
        return f"{line.value:.4f}"
    return f"{line.value:.4f}, 95% interval {line.interval[0]:.4f} to {line.interval[1]:.4f}"
