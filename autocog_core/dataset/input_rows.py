"""Read the rows of a data set from files of all formats.

A row that cannot be read becomes a row with an error, and reading continues. Files are streamed:
they may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

from autocog_core.dataset.csv_rows import CSV
from autocog_core.dataset.json_rows import JSON
from autocog_core.dataset.jsonl_rows import JSONL
from autocog_core.dataset.parquet_rows import PARQUET
from autocog_core.dataset.row_format import RowFormat, unreadable
from autocog_core.dataset.row_source import Format, RowSource
from autocog_core.dataset.saved_dataset import SAVED_DATASET
from autocog_core.errors import InputError

_READERS: dict[Format, RowFormat] = {
    "csv": CSV,
    "tsv": CSV,
    "json": JSON,
    "jsonl": JSONL,
    "parquet": PARQUET,
    "datasets": SAVED_DATASET,
}


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


def read_rows(
    source: Path | RowSource, start: int = 0, limit: int | None = None, step: int = 1
) -> Iterator[Row]:
    """Yield the rows of a file.

    :param source: a file, or a folder that `datasets` saved.
    :param start: index of the first row.
    :param limit: index after the last row; None for all rows.
    :param step: difference of the indices of two rows.
    :raises InputError: if the file as a whole cannot be read.
    """
    source = RowSource.of(source)
    try:
        entries = islice(_READERS[source.format].read(source), start, limit, step)
        for index, entry in zip(count(start, step), entries, strict=False):
            if isinstance(entry, InputError):
                yield Row(index, error=entry)
            else:
                yield Row(index, entry)
    except OSError as error:
        raise unreadable(source, error) from error


def count_rows(source: Path | RowSource, limit: int | None = None) -> int:
    """Count the rows of a file, at most `limit`, without reading their values.

    :param source: a file, or a folder that `datasets` saved.
    :param limit: where to stop counting; None to count all rows.
    :raises InputError: if the file as a whole cannot be read.
    """
    source = RowSource.of(source)
    try:
        return _READERS[source.format].count(source, limit)
    except OSError as error:
        raise unreadable(source, error) from error


def column_names(source: Path | RowSource) -> tuple[str, ...] | None:
    """Return the names of the columns; None for JSON, where each row has its own.

    :param source: a file, or a folder that `datasets` saved.
    :raises InputError: if the file is missing, of another kind, or has a bad header.
    """
    source = RowSource.of(source)
    try:
        return _READERS[source.format].columns(source)
    except OSError as error:
        raise unreadable(source, error) from error
