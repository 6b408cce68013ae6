"""Rows of a data set, one after the other: .jsonl, .csv and .parquet.

A row that cannot be read is a row with an error: reading goes on after it. Files are never held in
memory as a whole.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from autocog_core.errors import InputError

SUFFIXES = (".jsonl", ".csv", ".parquet")
_BOM = b"\xef\xbb\xbf"
#: Longest cell of a .csv file; Python's own limit of 128 KiB is shorter than some prompts.
_LONGEST_CELL = 2**30
_PARQUET_ROWS = 256


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the input.

    :ivar index: its number, from 0; empty lines are no rows.
    :ivar values: by column. `error`: why it could not be read, in place of values.
    """

    index: int
    values: Mapping[str, Any] = field(default_factory=dict)
    error: InputError | None = None


def read_rows(path: Path, start: int = 0, limit: int | None = None) -> Iterator[Row]:
    """The rows of a file from the row `start` on, up to the row `limit`.

    :raises InputError: if the file as a whole cannot be read.
    """
    found = islice(_entries(path), start, limit)
    for index, entry in enumerate(found, start):
        if isinstance(entry, InputError):
            yield Row(index, error=entry)
        else:
            yield Row(index, entry)


def count_rows(path: Path, limit: int | None = None) -> int:
    """How many rows there are, up to `limit`: their values are not looked at.

    :raises InputError: if the file as a whole cannot be read.
    """
    if _suffix(path) == ".parquet":
        size = int(_parquet(path).metadata.num_rows)
        return size if limit is None else min(size, limit)
    with _opened(path) as stream:
        if _suffix(path) == ".jsonl":
            return _count(_full_lines(stream), limit)
        rows = _cells(_text(stream))
        _header(path, rows)
        return _count(rows, limit)


def _count(found: Iterable[object], limit: int | None) -> int:
    return sum(1 for _ in islice(found, limit))


def column_names(path: Path) -> tuple[str, ...] | None:
    """The columns, where the file says beforehand what they are; None for .jsonl.

    :raises InputError: for a file that is not there, of another kind, or with a broken header.
    """
    match _suffix(path):
        case ".csv":
            with _opened(path) as stream:
                return tuple(_header(path, _cells(_text(stream))))
        case ".parquet":
            return tuple(_parquet(path).schema_arrow.names)
        case _:
            with _opened(path):
                return None


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f'rows are not read from "{suffix}" files' if suffix else "it has no suffix",
            where=str(path),
            hint="give one of " + ", ".join(SUFFIXES),
        )
    return suffix


def _entries(path: Path) -> Iterator[dict[str, Any] | InputError]:
    match _suffix(path):
        case ".jsonl":
            return _read_jsonl(path)
        case ".csv":
            return _read_csv(path)
        case _:
            return _read_parquet(path)


def _opened(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _full_lines(stream: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers in the file, from 1."""
    for number, line in enumerate(stream, 1):
        stripped = (line.removeprefix(_BOM) if number == 1 else line).strip()
        if stripped:
            yield number, stripped


def _read_jsonl(path: Path) -> Iterator[dict[str, Any] | InputError]:
    with _opened(path) as stream:
        for number, line in _full_lines(stream):
            where = f"{path}, line {number}"
            try:
                found = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
            except UnicodeDecodeError as error:
                yield InputError(f"is no UTF-8: {error.reason}", where=where)
            except RecursionError:
                yield InputError("is nested too deeply", where=where)
            except ValueError as error:
                yield InputError(f"is no JSON: {error}", where=where)
            else:
                if isinstance(found, dict):
                    yield found
                else:
                    what = f"is no JSON object but {type(found).__name__}"
                    yield InputError(what, where=where, hint='write {"column": value, ...}')


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _text(stream: io.BufferedReader) -> io.TextIOWrapper:
    # Bytes that are no UTF-8 become surrogates, so that only their row is lost.
    return io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")


def _cells(text: io.TextIOWrapper) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """The cells of each row, with the line on which it begins; or why they cannot be told."""
    # Strict, because otherwise one quote that is never closed swallows the rest of the file.
    reader = csv.reader(text, strict=True)
    while True:
        line = reader.line_num + 1
        csv.field_size_limit(_LONGEST_CELL)
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, error
            continue
        if cells:
            yield line, cells


def _header(path: Path, rows: Iterator[tuple[int, list[str] | csv.Error]]) -> list[str]:
    where = f"{path}, header"
    _, names = next(rows, (1, []))
    if isinstance(names, csv.Error):
        raise InputError(f"is broken: {names}", where=where)
    if not names:
        raise InputError("there is none", where=where, hint="the first line names the columns")
    _refuse_twice(path, names)
    if not _is_utf8(names):
        raise InputError("is no UTF-8", where=where, hint="save the file as UTF-8")
    return names


def _read_csv(path: Path) -> Iterator[dict[str, Any] | InputError]:
    with _opened(path) as stream:
        rows = _cells(_text(stream))
        names = _header(path, rows)
        for line, cells in rows:
            where = f"{path}, line {line}"
            if isinstance(cells, csv.Error):
                yield InputError(f"is no row: {cells}", where=where)
            elif len(cells) != len(names):
                what = f"it has {len(cells)} cells for {len(names)} columns"
                yield InputError(what, where=where, hint="put cells with commas into quotes")
            elif not _is_utf8(cells):
                yield InputError("is no UTF-8", where=where, hint="save the file as UTF-8")
            else:
                yield dict(zip(names, cells, strict=True))


def _read_parquet(path: Path) -> Iterator[dict[str, Any] | InputError]:
    file = _parquet(path)
    _refuse_twice(path, file.schema_arrow.names)
    batches = file.iter_batches(batch_size=_PARQUET_ROWS)
    begun = 0
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        # All that pyarrow raises for bad bytes is one of these.
        except (ValueError, OSError) as error:
            raise InputError(f"row {begun} and on: {error}", where=str(path)) from error
        try:
            yield from batch.to_pylist()
        except (ValueError, OverflowError):
            # Text that is no UTF-8, a date that Python has not: only that row is lost.
            for number in range(batch.num_rows):
                yield _parquet_row(path, batch.slice(number, 1), begun + number)
        begun += batch.num_rows


def _parquet_row(path: Path, batch: Any, row: int) -> dict[str, Any] | InputError:
    try:
        values: dict[str, Any] = batch.to_pylist()[0]
    except (ValueError, OverflowError) as error:
        return InputError(f"cannot be read: {error}", where=f"{path}, row {row}")
    return values


def _parquet(path: Path) -> Any:
    _opened(path).close()
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InputError(
            "reading .parquet needs pyarrow", where=str(path), hint="pip install pyarrow"
        ) from error
    try:
        return ParquetFile(path)
    except (ValueError, OSError) as error:
        raise InputError(f"is no parquet file: {error}", where=str(path)) from error


def _is_utf8(cells: Iterable[str]) -> bool:
    return not any("\udc80" <= character <= "\udcff" for cell in cells for character in cell)


def _refuse_twice(path: Path, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        quoted = ", ".join(f'"{name}"' for name in twice)
        raise InputError(f"column {quoted} is there more than once", where=str(path))
