"""Whether an input file has the columns of a program, before any model is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autocog_core.automaton.inputs import REQUIRED
from autocog_core.dataset.expected import Gold
from autocog_core.dataset.input_rows import Row, column_names, read_rows
from autocog_core.errors import InputError, shorten
from autocog_core.model.automaton import Automaton

#: Columns that are remembered for the message.
_MAX_COLUMNS = 1_000
#: Characters of the list of columns in a message.
_MAX_SHOWN = 400
_OTHER_SEPARATORS = (";", "\t", "|")


def check_columns(source: Path, automaton: Automaton, gold: Gold | None = None) -> None:
    """Check that an input file has all columns that the program and the right answers need.

    A column of a .jsonl file is there if any row has it.

    :param source: the input file.
    :param automaton: the automaton, whose required inputs are columns.
    :param gold: the right answers, whose column is required too.
    :raises InputError: naming the missing columns, or a column whose name differs from that of an
        input only in blanks or letter case: the input would silently have its default.
    """
    required = [name for name, input_ in automaton.inputs.items() if input_.default is REQUIRED]
    used = list(automaton.inputs)
    if gold is not None:
        required.append(gold.column)
        used.append(gold.column)
    columns: Sequence[str] | None = column_names(source)
    if columns is not None:
        _check_separator(source, columns, required, used)
    else:
        columns = _columns_of_rows(source, required)
    if columns is not None:
        _check_names(source, columns, required, used)


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


def _columns_of_rows(source: Path, required: Iterable[str]) -> list[str] | None:
    """Return the columns of the first rows, until all required ones were seen.

    None if no row can be read: each row then has its own error.
    """
    missing = set(required)
    columns: dict[str, None] | None = None
    for row in read_rows(source):
        if row.error is None:
            columns = {} if columns is None else columns
            if len(columns) < _MAX_COLUMNS:
                columns.update(dict.fromkeys(row.values))
            missing.difference_update(row.values)
            if not missing:
                break
    if columns is None:
        return None
    # Columns beyond the remembered ones are there too.
    return [*columns, *(name for name in required if name not in {*columns, *missing})]


def _check_separator(
    source: Path, columns: Sequence[str], required: Sequence[str], used: Sequence[str]
) -> None:
    if len(columns) != 1:
        return
    for separator in _OTHER_SEPARATORS:
        names = [name.strip().strip('"') for name in columns[0].split(separator)]
        if len(names) > 1 and (not set(required) <= set(columns) or set(names) & set(used)):
            shown = "tabs" if separator == "\t" else f'"{separator}"'
            raise InputError(
                f"its columns are separated by {shown}, not by commas",
                where=str(source),
                hint="save it with commas (as .csv with commas, or as .jsonl)",
            )


def _check_names(
    source: Path, columns: Sequence[str], required: Sequence[str], used: Sequence[str]
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
        hint = f"its columns are: {shorten(shown, _MAX_SHOWN)}"
    raise InputError(
        "there is no column " + ", ".join(f'"{name}"' for name in names),
        where=str(source),
        hint=hint,
    )


def _simplify(name: str) -> str:
    return name.strip().casefold()
