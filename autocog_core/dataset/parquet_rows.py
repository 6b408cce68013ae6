"""Rows of .parquet files, read by pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from autocog_core.dataset.csv_rows import reject_duplicates
from autocog_core.dataset.row_format import Entry, RowFormat, open_file
from autocog_core.errors import InputError

#: Rows that are read at once.
BATCH_ROWS = 256

#: Changes a value of pyarrow to the one that a row has.
Change = Callable[[Any], Any]
#: What pyarrow raises for bytes that it cannot read, beside its own exceptions.
_ERRORS = (ValueError, OSError, OverflowError, TypeError, LookupError, MemoryError)


def _read(path: Path) -> Iterator[Entry]:
    file = _open(path)
    schema = file.schema_arrow
    reject_duplicates(path, schema.names)
    changes = {field.name: change for field in schema if (change := _change(field.type))}
    batches = file.iter_batches(batch_size=BATCH_ROWS)
    first_row = 0
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except _arrow_errors() as error:
            raise InputError(
                f"cannot be read from row {first_row} on: {error}", where=str(path)
            ) from error
        for offset, entry in enumerate(_entries(batch)):
            if isinstance(entry, dict):
                entry.update((name, change(entry[name])) for name, change in changes.items())
                yield entry
            else:
                where = f"{path}, row {first_row + offset}"
                yield InputError(f"cannot be read: {entry}", where=where)
        first_row += batch.num_rows


def _entries(batch: Any) -> Iterator[dict[str, Any] | Exception]:
    """Yield the values of each row, or why it cannot be read."""
    try:
        yield from batch.to_pylist()
    except _arrow_errors():
        # Text that is not UTF-8, or a date out of Python's range: only that row fails.
        for offset in range(batch.num_rows):
            try:
                (values,) = batch.slice(offset, 1).to_pylist()
            except _arrow_errors() as error:
                yield error
            else:
                yield values


def _change(type_: Any) -> Change | None:
    """Return what makes values of a type plain: NaN is a missing number; None to keep them."""
    from pyarrow import types

    if types.is_float64(type_):
        return _without_nan
    if types.is_floating(type_):
        return partial(_widen, np.float32 if types.is_float32(type_) else np.float16)
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        change = _change(type_.value_type)
        return None if change is None else lambda items: items and [change(one) for one in items]
    if types.is_struct(type_):
        changes = {field.name: change for field in type_ if (change := _change(field.type))}
        return (lambda values: _change_entries(values, changes)) if changes else None
    return None


def _change_entries(values: dict[str, Any] | None, changes: dict[str, Change]) -> Any:
    if values is None:
        return None
    return values | {name: change(values[name]) for name, change in changes.items()}


def _without_nan(value: float | None) -> float | None:
    return None if value is None or value != value else value


def _widen(narrow: type[np.floating[Any]], value: float | None) -> float | None:
    """Return the shortest number that the column rounds to `value`: 0.1, not 0.10000000149."""
    return None if value is None or value != value else float(str(narrow(value)))


def _count(path: Path, limit: int | None) -> int:
    count = int(_open(path).metadata.num_rows)
    return count if limit is None else min(count, limit)


def _columns(path: Path) -> tuple[str, ...]:
    return tuple(_open(path).schema_arrow.names)


def _open(path: Path) -> Any:
    open_file(path).close()
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InputError(
            "reading .parquet files needs pyarrow", where=str(path), hint="pip install pyarrow"
        ) from error
    try:
        return ParquetFile(path, page_checksum_verification=True)
    except _arrow_errors() as error:
        raise InputError(f"is not a parquet file: {error}", where=str(path)) from error


def _arrow_errors() -> tuple[type[Exception], ...]:
    from pyarrow import ArrowException

    return (*_ERRORS, ArrowException)


PARQUET = RowFormat(read=_read, count=_count, columns=_columns)
