"""Marks of series: each series has its color and its shape, so that color alone says nothing."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from autocog_core.reports.charts.svg import element

_SHAPES = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
    "M-4.5 -4.5h9v9h-9z",
    "M0 -6l5.5 10h-11z",
    "M0 -6l5.5 6l-5.5 6l-5.5 -6z",
)


def marker(series: int, x: float, y: float, text: str) -> Markup:
    """Return the mark of a value.

    :param series: number of the series.
    :param x: its place.
    :param y: its place.
    :param text: what a pointer on it shows.
    """
    place = f"translate({x:.1f} {y:.1f})"
    return element(
        "path",
        element("title", text),
        d=_SHAPES[series % len(_SHAPES)],
        transform=place,
        class_=f"mark series-{series % len(_SHAPES)}",
    )


def path(series: int, points: Sequence[tuple[float, float]]) -> Markup:
    """Return a line through points."""
    way = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return element("path", d=way, class_=f"curve series-{series % len(_SHAPES)}")


def legend(names: Sequence[str]) -> Markup:
    """Return what belongs to which series, as HTML; nothing for a single one."""
    if len(names) < 2:
        return Markup("")
    entries = [
        element(
            "span",
            element(
                "svg",
                marker(index, 8, 8, name),
                viewBox="0 0 16 16",
                width=16,
                height=16,
                aria_hidden="true",
            )
            + element("span", name),
            class_="legend-entry",
        )
        for index, name in enumerate(names)
    ]
    return element("p", Markup("").join(entries), class_="legend")
