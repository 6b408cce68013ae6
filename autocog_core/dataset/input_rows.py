"""Read the rows of a data set from .jsonl, .csv and .parquet files.

A row that cannot be read becomes a row with an error, and reading continues. Files are streamed:
they may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from autocog_core.dataset.csv_rows import CSV
from autocog_core.dataset.jsonl_rows import JSONL
from autocog_core.dataset.parquet_rows import PARQUET
from autocog_core.dataset.row_format import RowFormat, unreadable
from autocog_core.errors import InputError

_FORMATS = {".jsonl": JSONL, ".csv": CSV, ".parquet": PARQUET}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the input.

    :ivar index: position of the row, from 0. Empty lines do not count.
    :ivar values: the values by column.
    :ivar error: why the row could not be read; it then has no values.
    """

    index: int
    values: Mapping[str, Any] = field(default_factory=dict)
    error: InputError | None = None


def read_rows(path: Path, start: int = 0, limit: int | None = None) -> Iterator[Row]:
    """Yield the rows of a file.

    :param path: a .jsonl, .csv or .parquet file.
    :param start: index of the first row.
    :param limit: index after the last row; None for all rows.
    :raises InputError: if the file as a whole cannot be read.
    """
    try:
        for index, entry in enumerate(islice(_format_of(path).read(path), start, limit), start):
            if isinstance(entry, InputError):
                yield Row(index, error=entry)
            else:
                yield Row(index, entry)
    except OSError as error:
        raise unreadable(path, error) from error


def count_rows(path: Path, limit: int | None = None) -> int:
    """Count the rows of a file, at most `limit`, without reading their values.

    :param path: a .jsonl, .csv or .parquet file.
    :param limit: where to stop counting; None to count all rows.
    :raises InputError: if the file as a whole cannot be read.
    """
    try:
        return _format_of(path).count(path, limit)
    except OSError as error:
        raise unreadable(path, error) from error


def column_names(path: Path) -> tuple[str, ...] | None:
    """Return the names of the columns; None for .jsonl, where each row has its own.

    :param path: a .jsonl, .csv or .parquet file.
    :raises InputError: if the file is missing, of another kind, or has a bad header.
    """
    try:
        return _format_of(path).columns(path)
    except OSError as error:
        raise unreadable(path, error) from error


def _format_of(path: Path) -> RowFormat:
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(
            f'cannot read rows from "{suffix}" files' if suffix else "the file has no suffix",
            where=str(path),
            hint="use one of " + ", ".join(_FORMATS),
        )
    return _FORMATS[suffix]
