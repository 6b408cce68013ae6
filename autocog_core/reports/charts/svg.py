"""SVG elements, and the frame of a chart: axes, grid, ticks, and texts for screen readers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from autocog_core.controls import picture_controls

#: Size of a chart in its own units, which are pixels on a narrow screen.
WIDTH = 360
HEIGHT = 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 10, 12, 42


def element(name: str, content: str = "", **attributes: object) -> Markup:
    """Return an element; its content and the values of its attributes are text unless `Markup`.

    :param name: the tag.
    :param content: what is inside.
    :param attributes: by name, with `_` for `-`, and a `_` at the end of names that Python has.
    """
    parts = [Markup("<") + name]
    for key, value in attributes.items():
        if value is not None:
            name_ = key.rstrip("_").replace("_", "-")
            parts.append(Markup(' {}="{}"').format(Markup(name_), _text(value)))  # noqa: S704
    inside = content if isinstance(content, Markup) else picture_controls(content)
    return Markup("").join(parts) + Markup(">") + inside + Markup("</{}>").format(name)


def join(parts: Iterable[Markup]) -> Markup:
    """Return elements, one after the other."""
    return Markup("").join(parts)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return picture_controls(str(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis with its ticks.

    :ivar label: what it shows.
    :ivar low: the value at its beginning.
    :ivar high: the value at its end.
    :ivar ticks: values that are named.
    :ivar format: returns the name of a value.
    """

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    format: Callable[[float], str] = "{:g}".format


#: From 0 to 1.
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def share_axis(label: str) -> Axis:
    """Return an axis for probabilities and shares."""
    return Axis(label=label, low=0, high=1, ticks=SHARES)


def count_axis(label: str, largest: int) -> Axis:
    """Return an axis from 0 to at least `largest`, with up to five whole ticks."""
    step = max(1, round(round_step(largest / 5)))
    top = max(1, -(-largest // step)) * step
    ticks = range(0, top + 1, step)
    return Axis(label=label, low=0, high=top, ticks=ticks, format="{:,.0f}".format)


def round_step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(max(least, 1e-9)))
    return next(step for factor in (1, 2, 5, 10) if (step := factor * power) >= least * 0.999999)


@dataclass(frozen=True, slots=True)
class Frame:
    """Where values are in a chart."""

    x_axis: Axis
    y_axis: Axis
    left: float = _LEFT
    height: float = HEIGHT

    def x(self, value: float) -> float:
        """Return the place of a value on the x axis."""
        share = (value - self.x_axis.low) / (self.x_axis.high - self.x_axis.low)
        return self.left + share * (WIDTH - self.left - _RIGHT)

    def y(self, value: float) -> float:
        """Return the place of a value on the y axis."""
        share = (value - self.y_axis.low) / (self.y_axis.high - self.y_axis.low)
        return self.height - _BOTTOM - share * (self.height - _TOP - _BOTTOM)

    def line(self, x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
        """Return a line between two points, given by their values."""
        left, right = self.x(x1), self.x(x2)
        return element("line", x1=left, y1=self.y(y1), x2=right, y2=self.y(y2), class_=class_)


def chart(key: str, title: str, description: str, frame: Frame, marks: Iterable[Markup]) -> Markup:
    """Return a chart with its axes.

    :param key: an id that no other chart of the page has.
    :param title: the title, for screen readers; the page shows it as a heading.
    :param description: what is seen, in a sentence.
    :param frame: the axes.
    :param marks: what is drawn.
    """
    return picture(key, title, description, join([*_axes(frame), *marks]), frame.height)


def picture(
    key: str, title: str, description: str, inside: Markup, height: float = HEIGHT
) -> Markup:
    """Return an SVG picture with a title and a description for screen readers."""
    return element(
        "svg",
        element("title", title, id=f"{key}-title")
        + element("desc", description, id=f"{key}-desc")
        + inside,
        viewBox=f"0 0 {WIDTH} {height:g}",
        class_="chart",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
    )


def _axes(frame: Frame) -> Iterable[Markup]:
    x_axis, y_axis = frame.x_axis, frame.y_axis
    for tick in y_axis.ticks:
        yield frame.line(x_axis.low, tick, x_axis.high, tick, "grid")
        y = frame.y(tick) + 4
        yield element("text", y_axis.format(tick), x=frame.left - 6, y=y, class_="tick end")
    for tick in x_axis.ticks:
        x, y = frame.x(tick), frame.height - _BOTTOM
        yield element("line", x1=x, y1=y, x2=x, y2=y + 4, class_="axis")
        yield element("text", x_axis.format(tick), x=x, y=y + 17, class_="tick middle")
    yield frame.line(x_axis.low, y_axis.low, x_axis.high, y_axis.low, "axis")
    middle = (frame.x(x_axis.low) + frame.x(x_axis.high)) / 2
    yield element("text", x_axis.label, x=middle, y=frame.height - 6, class_="label middle")
    if y_axis.label:
        across = (frame.y(y_axis.low) + frame.y(y_axis.high)) / 2
        turned = f"rotate(-90 12 {across:.1f})"
        yield element("text", y_axis.label, x=12, y=across, transform=turned, class_="label middle")
