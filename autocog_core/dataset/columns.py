"""Whether an input file has the columns of a program, before any model is loaded."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autocog_core.automaton.inputs import REQUIRED
from autocog_core.dataset.csv_rows import SEPARATORS
from autocog_core.dataset.expected import Gold
from autocog_core.dataset.input_rows import Row, column_names, read_rows
from autocog_core.dataset.row_source import RowSource
from autocog_core.errors import InputError, shorten
from autocog_core.model.automaton import Automaton

#: Columns that are remembered for the message.
_MAX_COLUMNS = 1_000
_MAX_TABLE_COLUMNS = 10_000
#: Characters of the list of columns in a message.
_MAX_SHOWN = 400
_SEPARATOR_NAMES = {",": "commas", ";": '";"', "\t": "tabs", "|": '"|"'}


def check_columns(
    source: Path | RowSource,
    automaton: Automaton,
    gold: Gold | None = None,
    values: Iterable[str] = (),
) -> None:
    """Check that an input file has all columns that the program and the right answers need.

    A column of a file of JSON objects is there if any row has it.

    :param source: the input file, or a folder that `datasets` saved.
    :param automaton: the automaton, whose required inputs are columns.
    :param gold: the right answers, whose column is required too.
    :param values: the inputs that have one value for all rows, and are no columns.
    :raises InputError: naming the missing columns, columns that are among `values`, or a column
        whose name differs from that of an input only in blanks or letter case: the input would
        silently have its default.
    """
    source = RowSource.of(source)
    fixed = set(values)
    used, required = _inputs_of_rows(automaton, fixed)
    if gold is not None:
        required.append(gold.column)
        used.append(gold.column)
    columns: Sequence[str] | None = column_names(source)
    if columns is not None:
        _check_separator(source, columns, required, used)
    else:
        columns = _columns_of_rows(source, required, fixed)
    if columns is not None:
        reject_values_of_rows(source.name, columns, fixed)
        _check_names(source.name, columns, required, used)


def require_columns(
    where: str, columns: Sequence[str], automaton: Automaton, values: Iterable[str] = ()
) -> None:
    """Check that a table has all columns that the program needs.

    :param where: the table, for the error.
    :param columns: its columns.
    :param automaton: the automaton, whose required inputs are columns.
    :param values: the inputs that have one value for all rows, and are no columns.
    :raises InputError: as `check_columns`.
    """
    used, required = _inputs_of_rows(automaton, values)
    reject_values_of_rows(where, columns, values)
    _check_names(where, columns, required, used)


def _inputs_of_rows(automaton: Automaton, values: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the inputs that rows may have, and those of them that they must have."""
    fixed = set(values)
    used = [name for name in automaton.inputs if name not in fixed]
    return used, [name for name in used if automaton.inputs[name].default is REQUIRED]


def all_columns(source: RowSource) -> list[str]:
    """Return all columns of an input file; those of a .jsonl file are those of all its rows.

    :raises InputError: if the file cannot be read, or its rows have too many columns for a table.
    """
    names = column_names(source)
    if names is not None:
        return list(names)
    columns: dict[str, None] = {}
    for row in read_rows(source):
        columns.update(dict.fromkeys(row.values))
        if len(columns) > _MAX_TABLE_COLUMNS:
            message = f"its rows have more than {_MAX_TABLE_COLUMNS:,} columns"
            raise InputError(message, where=source.name, hint="write .jsonl, which has none")
    return list(columns)


def reject_values_of_rows(where: str, columns: Iterable[str], values: Iterable[str]) -> None:
    """Check that no input has both a column and a value for all rows.

    :param where: the source or row, for the error.
    :param columns: the names of the columns.
    :param values: the inputs with a value for all rows.
    :raises InputError: naming the inputs that have both.
    """
    columns = set(columns)
    both = [name for name in values if name in columns]
    if both:
        raise InputError(
            "has a column " + ", ".join(f'"{name}"' for name in sorted(both)) + ", which is also "
            "set for all rows",
            where=where,
            hint="leave out the value (--set), or rename the column",
        )


def check_values(row: Row, names: Iterable[str]) -> Row:
    """Return the row, with an error if a used column holds NaN or infinity, which no JSON has.

    :param row: the row.
    :param names: the columns that the program uses.
    """
    for name in names if row.error is None else ():
        if not _is_finite(row.values.get(name)):
            message = f'"{name}" holds NaN or infinity, which are no JSON values'
            hint = "write null for a missing value"
            return Row(row.index, row.values, InputError(message, where="inputs", hint=hint))
    return row


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, Mapping) or all(map(_is_finite, value.values()))


def _columns_of_rows(
    source: RowSource, required: Iterable[str], fixed: Collection[str]
) -> list[str] | None:
    """Return the columns of the first rows, until all required ones were seen.

    All rows are read if none of them may have a column of `fixed`. None if no row can be read: each
    row then has its own error.
    """
    missing = set(required)
    watched = {*missing, *fixed}
    seen: set[str] = set()
    columns: dict[str, None] | None = None
    for row in read_rows(source):
        if row.error is None:
            columns = {} if columns is None else columns
            if len(columns) < _MAX_COLUMNS:
                columns.update(dict.fromkeys(row.values))
            missing.difference_update(row.values)
            seen |= watched & row.values.keys()
            if seen & set(fixed) or not (missing or fixed):
                break
    if columns is None:
        return None
    # Columns beyond the remembered ones are there too.
    return [*columns, *(name for name in sorted(seen) if name not in columns)]


def _check_separator(
    source: RowSource, columns: Sequence[str], required: Sequence[str], used: Sequence[str]
) -> None:
    separator = SEPARATORS.get(source.format)
    if len(columns) != 1 or separator is None:
        return
    for other, shown in _SEPARATOR_NAMES.items():
        names = [name.strip().strip('"') for name in columns[0].split(other)]
        is_meant = not set(required) <= set(columns) or set(names) & set(used)
        if other == separator or len(names) == 1 or not is_meant:
            continue
        formats = [name for name, text in SEPARATORS.items() if text == other]
        hint = "save it with commas (as .csv with commas, or as .jsonl)"
        if formats:
            hint = f"its format is {formats[0]}: rename the file, or give --input-format"
        raise InputError(
            f"its columns are separated by {shown}, not by {_SEPARATOR_NAMES[separator]}",
            where=source.name,
            hint=hint,
        )


def _check_names(
    where: str, columns: Sequence[str], required: Sequence[str], used: Sequence[str]
) -> None:
    others = {_simplify(name): name for name in columns if name not in used}
    similar = {
        name: others[_simplify(name)]
        for name in used
        if name not in columns and _simplify(name) in others
    }
    missing = [name for name in required if name not in columns]
    names = dict.fromkeys([*missing, *similar])
    if not names:
        return
    if similar:
        renamed = ", ".join(f'"{column}" to "{name}"' for name, column in similar.items())
        hint = f"rename the column {shorten(renamed, _MAX_SHOWN)}"
    else:
        shown = ", ".join(f'"{name}"' for name in columns)
        hint = f"its columns are: {shorten(shown, _MAX_SHOWN)}" if columns else "it has no columns"
    raise InputError(
        "there is no column " + ", ".join(f'"{name}"' for name in names),
        where=where,
        hint=hint,
    )


def _simplify(name: str) -> str:
    return name.strip().casefold()
