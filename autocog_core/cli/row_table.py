"""The rows of a run as a table on a terminal, each printed when it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.cells import cell_len, set_cell_size

from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.cli.output import format_logprob, new_console
from autocog_core.cli.styles import BAD, CAUTION
from autocog_core.cli.text import Text
from autocog_core.dataset import OutputRow
from autocog_core.dataset.table_fields import TableField, table_fields
from autocog_core.types.choice_value import value_text
from autocog_core.viz.preview import name_preview

_GAP = "  "
_MIN_FIELD, _MAX_FIELD = 13, 28
#: What texts of unknown length get.
_FREE_FIELD = 20
_MIN_INPUT, _MAX_INPUT = 13, 48
_DIGITS = len("row") + 1
#: Columns of " 0.71" after a value.
_PROB = 5


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: its header, its width, and what it shows of a row in so many columns."""

    header: str
    width: int
    read: Callable[[OutputRow, int], str]


class RowTable:
    """Prints output rows below each other.

    :param automaton: the program.
    :param inputs: the columns of the input, the one to show first.
    :param gold_field: the field that is compared with right answers; None for no comparison.
    """

    def __init__(
        self, automaton: AutomatonGraph, inputs: Sequence[str], gold_field: str | None = None
    ) -> None:
        self._console = new_console()
        # A flat record has its fields in its place.
        fields = [field for field in table_fields(automaton) if field.record != "flat"]
        columns = [_field_column(field) for field in fields] or [
            _Column("logprob", _MIN_FIELD, lambda row, _: format_logprob(row["logprob"]))
        ]
        if gold_field is not None:
            right = _Column("right", len("right"), lambda row, _: _verdict(row, gold_field))
            columns.insert(0, right)
        self._columns, self.left_out = _fit(columns, inputs, self._console.width)
        self._has_header = False

    def write(self, row: OutputRow) -> None:
        """Print a row, after the header if it is the first."""
        if not self._has_header:
            self._has_header = True
            names = [name_preview(column.header, column.width) for column in self._columns]
            self._print(Text(self._line("row", names), style="bold"))
        if row["error"] is not None:
            error = ": ".join(filter(None, (row["error"]["where"], row["error"]["message"])))
            self._print(Text.assemble(f"{row['row']:>{_DIGITS}}{_GAP}", ("error: ", BAD), error))
        else:
            cells = [column.read(row, column.width) for column in self._columns]
            line = Text(self._line(str(row["row"]), cells))
            if row["stopped_by"] is not None:
                line.append(f"{_GAP}out of {row['stopped_by']}", CAUTION)
            self._print(line)
        sys.stdout.flush()

    def _line(self, number: str, cells: Sequence[str]) -> str:
        sized = [
            set_cell_size(cell, column.width)
            for cell, column in zip(cells, self._columns, strict=True)
        ]
        return _GAP.join([f"{number:>{_DIGITS}}", *sized]).rstrip()

    def _print(self, line: Text) -> None:
        # The terminal wraps a long message, not rich.
        self._console.print(line, soft_wrap=True)


def _field_column(field: TableField) -> _Column:
    longest = _FREE_FIELD
    if field.values is not None and not field.is_repeated:
        longest = max((cell_len(value_text(value)) for value in field.values), default=0) + _PROB
    width = min(_MAX_FIELD, max(_MIN_FIELD, cell_len(field.name), longest))
    return _Column(field.name, width, lambda row, width: _cell(row, field.name, width))


def _cell(row: OutputRow, name: str, width: int) -> str:
    """Return a value with its probability, if it has one of its own."""
    if name not in row["fields"]:
        return "-"
    prob = row["probs"].get(name)
    share = f" {prob:.2f}" if isinstance(prob, float) else ""
    text = value_text(row["fields"][name])
    return name_preview(text.strip() or text, width - len(share)) + share


def _verdict(row: OutputRow, field: str) -> str:
    from autocog_core.dataset.expected import is_right_row

    is_right = is_right_row(row, field)
    return "-" if is_right is None else "yes" if is_right else "no"


def _fit(
    columns: list[_Column], inputs: Sequence[str], width: int
) -> tuple[list[_Column], list[str]]:
    """Return the columns for which there is room, with an input first; and the others' names."""
    room = width - _DIGITS
    shown = list(columns)
    while len(shown) > 1 and sum(map(_least, shown)) > room:
        shown.pop()
    left_out = [column.header for column in columns[len(shown) :]]
    if inputs and sum(map(_least, shown)) + _MIN_INPUT + len(_GAP) <= room:
        shown.insert(0, _input_column(inputs[0]))
    spare = room - sum(map(_least, shown))
    widths = [_least(column) - len(_GAP) for column in shown]
    while spare > 0 and any(map(_is_cut, shown, widths)):
        # One column of the terminal for each, until all have what they want.
        for index, column in enumerate(shown):
            if spare > 0 and _is_cut(column, widths[index]):
                widths[index] += 1
                spare -= 1
    return [
        replace(column, width=size) for column, size in zip(shown, widths, strict=True)
    ], left_out


def _least(column: _Column) -> int:
    """Return the fewest columns of the terminal that a column takes, with the gap before it."""
    return min(column.width, _MIN_FIELD) + len(_GAP)


def _is_cut(column: _Column, width: int) -> bool:
    return width < column.width


def _input_column(name: str) -> _Column:
    def read(row: OutputRow, width: int) -> str:
        value: Any = (row.get("input") or {}).get(name, "")
        return name_preview("" if value is None else value_text(value), width)

    return _Column(name, _MAX_INPUT, read)
