"""Read the rows of a data set from .jsonl, .csv and .parquet files.

A row that cannot be read becomes a row with an error, and reading continues. Files are streamed:
they may be larger than memory.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from autocog_core.errors import InputError

_BOM = b"\xef\xbb\xbf"
#: Characters in a cell of a .csv file. Some prompts exceed the default limit of 128 KiB.
MAX_CELL_LENGTH = 2**30
#: Rows that are read from a .parquet file at once.
PARQUET_BATCH_ROWS = 256

#: A row's values by column, or why it cannot be read.
Entry = dict[str, Any] | InputError
#: The cells of a .csv row with the number of its first line, or why they cannot be read.
CsvRow = tuple[int, list[str] | csv.Error]


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
    for index, entry in enumerate(islice(_format_of(path).read(path), start, limit), start):
        if isinstance(entry, InputError):
            yield Row(index, error=entry)
        else:
            yield Row(index, entry)


def count_rows(path: Path, limit: int | None = None) -> int:
    """Count the rows of a file, at most `limit`, without reading their values.

    :param path: a .jsonl, .csv or .parquet file.
    :param limit: where to stop counting; None to count all rows.
    :raises InputError: if the file as a whole cannot be read.
    """
    return _format_of(path).count(path, limit)


def column_names(path: Path) -> tuple[str, ...] | None:
    """Return the names of the columns; None for .jsonl, where each row has its own.

    :param path: a .jsonl, .csv or .parquet file.
    :raises InputError: if the file is missing, of another kind, or has a bad header.
    """
    return _format_of(path).columns(path)


@dataclass(frozen=True, kw_only=True)
class _Format:
    """How to read the files of one suffix.

    :ivar read: yields the entries of a file.
    :ivar count: counts its rows, up to a limit.
    :ivar columns: returns the names of its columns; None if each row has its own.
    """

    read: Callable[[Path], Iterator[Entry]]
    count: Callable[[Path, int | None], int]
    columns: Callable[[Path], tuple[str, ...] | None]


def _format_of(path: Path) -> _Format:
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(
            f'cannot read rows from "{suffix}" files' if suffix else "the file has no suffix",
            where=str(path),
            hint="use one of " + ", ".join(_FORMATS),
        )
    return _FORMATS[suffix]


def _count(items: Iterable[object], limit: int | None) -> int:
    return sum(1 for _ in islice(items, limit))


def _open(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _nonblank_lines(stream: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their line numbers."""
    for number, line in enumerate(stream, 1):
        stripped = (line.removeprefix(_BOM) if number == 1 else line).strip()
        if stripped:
            yield number, stripped


def _read_jsonl(path: Path) -> Iterator[Entry]:
    with _open(path) as stream:
        for number, line in _nonblank_lines(stream):
            yield _parse_json_row(line, f"{path}, line {number}")


def _parse_json_row(line: bytes, where: str) -> Entry:
    try:
        values = json.loads(line.decode("utf-8"), parse_constant=_reject_constant)
    except UnicodeDecodeError as error:
        return InputError(f"is not UTF-8: {error.reason}", where=where)
    except RecursionError:
        return InputError("is nested too deeply", where=where)
    except ValueError as error:
        return InputError(f"is not valid JSON: {error}", where=where)
    if isinstance(values, dict):
        return values
    message = f"is not a JSON object but {type(values).__name__}"
    return InputError(message, where=where, hint='write {"column": value, ...}')


def _count_jsonl(path: Path, limit: int | None) -> int:
    with _open(path) as stream:
        return _count(_nonblank_lines(stream), limit)


def _no_columns(path: Path) -> None:
    _open(path).close()


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _read_cells(stream: io.BufferedReader) -> Iterator[CsvRow]:
    # Bytes that are not UTF-8 become surrogates, so that only their row fails.
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    # Strict, because otherwise an unclosed quote swallows the rest of the file.
    reader = csv.reader(text, strict=True)
    while True:
        line = reader.line_num + 1
        csv.field_size_limit(MAX_CELL_LENGTH)
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, error
            continue
        if cells:
            yield line, cells


def _read_header(path: Path, rows: Iterator[CsvRow]) -> list[str]:
    where = f"{path}, header"
    _, names = next(rows, (1, []))
    if isinstance(names, csv.Error):
        raise InputError(f"is not valid CSV: {names}", where=where)
    if not names:
        raise InputError("is missing", where=where, hint="name the columns in the first line")
    _reject_duplicates(path, names)
    if not _is_utf8(names):
        raise InputError("is not UTF-8", where=where, hint="save the file as UTF-8")
    return names


def _read_csv(path: Path) -> Iterator[Entry]:
    with _open(path) as stream:
        rows = _read_cells(stream)
        names = _read_header(path, rows)
        for line, cells in rows:
            where = f"{path}, line {line}"
            if isinstance(cells, csv.Error):
                yield InputError(f"is not valid CSV: {cells}", where=where)
            elif len(cells) != len(names):
                message = f"has {len(cells)} cells for {len(names)} columns"
                yield InputError(message, where=where, hint="put cells with commas into quotes")
            elif not _is_utf8(cells):
                yield InputError("is not UTF-8", where=where, hint="save the file as UTF-8")
            else:
                yield dict(zip(names, cells, strict=True))


def _count_csv(path: Path, limit: int | None) -> int:
    with _open(path) as stream:
        rows = _read_cells(stream)
        _read_header(path, rows)
        return _count(rows, limit)


def _csv_columns(path: Path) -> tuple[str, ...]:
    with _open(path) as stream:
        return tuple(_read_header(path, _read_cells(stream)))


def _read_parquet(path: Path) -> Iterator[Entry]:
    file = _open_parquet(path)
    _reject_duplicates(path, file.schema_arrow.names)
    batches = file.iter_batches(batch_size=PARQUET_BATCH_ROWS)
    first_row = 0
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        # For bad bytes, pyarrow raises subclasses of these.
        except (ValueError, OSError) as error:
            raise InputError(
                f"cannot be read from row {first_row} on: {error}", where=str(path)
            ) from error
        try:
            yield from batch.to_pylist()
        except (ValueError, OverflowError):
            # Text that is not UTF-8, or a date out of Python's range: only that row fails.
            for offset in range(batch.num_rows):
                yield _read_parquet_row(path, batch.slice(offset, 1), first_row + offset)
        first_row += batch.num_rows


def _read_parquet_row(path: Path, batch: Any, row: int) -> Entry:
    try:
        values: dict[str, Any] = batch.to_pylist()[0]
    except (ValueError, OverflowError) as error:
        return InputError(f"cannot be read: {error}", where=f"{path}, row {row}")
    return values


def _count_parquet(path: Path, limit: int | None) -> int:
    count = int(_open_parquet(path).metadata.num_rows)
    return count if limit is None else min(count, limit)


def _parquet_columns(path: Path) -> tuple[str, ...]:
    return tuple(_open_parquet(path).schema_arrow.names)


def _open_parquet(path: Path) -> Any:
    _open(path).close()
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InputError(
            "reading .parquet files needs pyarrow", where=str(path), hint="pip install pyarrow"
        ) from error
    try:
        return ParquetFile(path)
    except (ValueError, OSError) as error:
        raise InputError(f"is not a parquet file: {error}", where=str(path)) from error


def _is_utf8(cells: Iterable[str]) -> bool:
    return not any("\udc80" <= character <= "\udcff" for cell in cells for character in cell)


def _reject_duplicates(path: Path, names: Sequence[str]) -> None:
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        quoted = ", ".join(f'"{name}"' for name in duplicates)
        raise InputError(f"has several columns named {quoted}", where=str(path))


_FORMATS = {
    ".jsonl": _Format(read=_read_jsonl, count=_count_jsonl, columns=_no_columns),
    ".csv": _Format(read=_read_csv, count=_count_csv, columns=_csv_columns),
    ".parquet": _Format(read=_read_parquet, count=_count_parquet, columns=_parquet_columns),
}
