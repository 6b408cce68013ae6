"""Tables that leave out columns rather than cut them, where a terminal is narrow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.table import Table

from autocog_core.cli.output import add_number, add_text, escape_controls, new_console, new_table

#: What texts get before other columns are left out, if they need so much.
_MIN_TEXT = 16
#: Blanks between two columns.
_PADDING = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedColumn:
    """A column of a table.

    :ivar header: its header.
    :ivar cells: its cells, one for each row.
    :ivar kind: "text" is wrapped, the others are not: "number" is on the right, "mark" on the left.
    :ivar rank: 0 for a column that is always shown; of the others, those with the highest rank are
        left out first.
    :ivar style: the style of its cells.
    """

    header: str
    cells: Sequence[str]
    kind: Literal["text", "number", "mark"] = "number"
    rank: int = 0
    style: str = ""

    @property
    def width(self) -> int:
        """The columns of the terminal that it takes, with the blanks after it."""
        longest = max((cell_len(escape_controls(cell)) for cell in self.cells), default=0)
        wanted = min(longest, _MIN_TEXT) if self.kind == "text" else longest
        return max(cell_len(self.header), wanted) + _PADDING


def fitted_table(columns: Iterable[FittedColumn], row_styles: Sequence[str | None]) -> Table:
    """Return a table with the columns for which the terminal has room.

    :param columns: the columns, in order.
    :param row_styles: the style of each row.
    """
    shown = _fitting(columns, new_console().width)
    table = new_table()
    for column in shown:
        if column.kind == "number":
            add_number(table, column.header)
        elif column.kind == "text":
            add_text(table, column.header, column.style)
        else:
            table.add_column(column.header, no_wrap=True, style=column.style)
    for index, style in enumerate(row_styles):
        table.add_row(*(column.cells[index] for column in shown), style=style)
    return table


def _fitting(columns: Iterable[FittedColumn], width: int) -> list[FittedColumn]:
    shown = list(columns)
    while sum(column.width for column in shown) - _PADDING > width:
        least = max(shown, key=lambda column: column.rank)
        if not least.rank:
            break
        shown.remove(least)
    return shown
