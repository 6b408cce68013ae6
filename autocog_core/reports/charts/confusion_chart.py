"""Right answers against answers, as a map of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from autocog_core.controls import picture_controls
from autocog_core.errors import shorten
from autocog_core.reports.charts.svg import WIDTH, element, join, picture
from autocog_core.reports.figures.definitions import ConfusionCell

_MAX_LABELS = 12
_MAX_NAME = 16
_NAME_WIDTH = 112
_OTHERS = "all others"


def confusion_chart(key: str, cells: Sequence[ConfusionCell]) -> Markup:
    """Return the number of rows by right answer (lines) and answer (columns).

    Of many labels, it has the most frequent ones, and one line and column for all others.

    :param key: an id that no other chart of the page has.
    :param cells: the numbers of rows, at least one.
    """
    totals: Counter[str] = Counter()
    for cell in cells:
        totals.update({cell.gold: cell.rows})
        totals.update({cell.answer: cell.rows})
    ordered = sorted(totals, key=lambda label: (-totals[label], label))
    has_others = len(ordered) > _MAX_LABELS
    labels = [*ordered[: _MAX_LABELS - 1], _OTHERS] if has_others else ordered
    places = {label: index for index, label in enumerate(labels)}
    counts: Counter[tuple[int, int]] = Counter()
    last = len(labels) - 1
    for cell in cells:
        counts[places.get(cell.gold, last), places.get(cell.answer, last)] += cell.rows
    size = min(34.0, (WIDTH - _NAME_WIDTH - 4) / len(labels))
    top = _NAME_WIDTH - 6
    totals_of_lines = Counter[int]()
    for (line, _), rows in counts.items():
        totals_of_lines[line] += rows
    parts = [*_names(labels, size, top)]
    for line in range(len(labels)):
        for column in range(len(labels)):
            rows = counts[line, column]
            share = rows / totals_of_lines[line] if rows else 0.0
            # The block of all others mixes right and wrong answers.
            kind = "wrong" if line != column else "right"
            kind = "mixed" if has_others and line == column == last else kind
            text = f"{labels[line]} answered as {labels[column]}: {rows} ({share:.0%} of the line)"
            parts.append(_cell(line, column, size, top, rows, share, kind, text))
    return picture(
        key,
        "Right answers against answers",
        "Lines are right answers, columns are answers; the numbers are rows. "
        + "; ".join(f"{c.gold} answered as {c.answer}: {c.rows}" for c in cells[:10]),
        join(parts),
        top + size * len(labels) + 4,
    )


def _names(labels: Sequence[str], size: float, top: float) -> list[Markup]:
    names = []
    for index, label in enumerate(labels):
        text = element("title", label) + Markup.escape(picture_controls(shorten(label, _MAX_NAME)))
        middle = (index + 0.5) * size
        y = top + middle + 4
        names.append(element("text", text, x=_NAME_WIDTH - 6, y=y, class_="tick end"))
        x = _NAME_WIDTH + middle + 4
        turned = f"rotate(-90 {x:.1f} {top - 6:.1f})"
        names.append(element("text", text, x=x, y=top - 6, transform=turned, class_="tick"))
    return names


def _cell(
    line: int, column: int, size: float, top: float, rows: int, share: float, kind: str, text: str
) -> Markup:
    x, y = _NAME_WIDTH + column * size, top + line * size
    box = element(
        "rect",
        element("title", text),
        x=x,
        y=y,
        width=size - 1,
        height=size - 1,
        class_=f"cell {kind}",
        fill_opacity=round(0.12 + 0.38 * share, 3) if rows else 0.03,
    )
    if not rows:
        return box
    return box + element(
        "text", f"{rows}", x=x + size / 2, y=y + size / 2 + 4, class_="tick middle count"
    )
