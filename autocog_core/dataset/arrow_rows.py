"""Rows of Arrow batches, as .parquet files and folders of `datasets` have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from autocog_core.dataset.csv_rows import reject_duplicates
from autocog_core.dataset.row_format import Entry
from autocog_core.dataset.row_source import RowSource
from autocog_core.errors import InputError

#: Rows that are read at once.
BATCH_ROWS = 256

#: Changes a value of pyarrow to the one that a row has.
Change = Callable[[Any], Any]
#: What pyarrow raises for bytes that it cannot read, beside its own exceptions.
_ERRORS = (ValueError, OSError, OverflowError, TypeError, LookupError, MemoryError)


def read_batches(
    source: RowSource, schema: Any, batches: Iterable[Any], first_row: int = 0
) -> Iterator[Entry]:
    """Yield the entries of record batches.

    :param source: the source, for errors.
    :param schema: their schema.
    :param batches: the batches, with at most about `BATCH_ROWS` rows each.
    :param first_row: index of their first row.
    :raises InputError: from the row on that cannot be read.
    """
    reject_duplicates(source, schema.names)
    changes = {field.name: change for field in schema if (change := _change(field.type))}
    remaining = iter(batches)
    while True:
        try:
            batch = next(remaining)
        except StopIteration:
            return
        except arrow_errors() as error:
            raise InputError(
                f"cannot be read from row {first_row} on: {error}", where=source.name
            ) from error
        for offset, entry in enumerate(_entries(batch)):
            if isinstance(entry, dict):
                entry.update((name, change(entry[name])) for name, change in changes.items())
                yield entry
            else:
                where = f"{source.name}, row {first_row + offset}"
                yield InputError(f"cannot be read: {entry}", where=where)
        first_row += batch.num_rows


def arrow_errors() -> tuple[type[Exception], ...]:
    """Return what pyarrow raises for bytes that it cannot read."""
    from pyarrow import ArrowException

    return (*_ERRORS, ArrowException)


def import_error(source: RowSource, what: str, extra: str) -> InputError:
    """Return the error for a missing pyarrow.

    :param what: what needs it.
    :param extra: the extra of autocog-core that has it.
    """
    hint = f'pip install "autocog-core[{extra}]"'
    return InputError(f"reading {what} needs pyarrow", where=source.name, hint=hint)


def _entries(batch: Any) -> Iterator[dict[str, Any] | Exception]:
    """Yield the values of each row, or why it cannot be read."""
    try:
        yield from batch.to_pylist()
    except arrow_errors():
        # Text that is not UTF-8, or a date out of Python's range: only that row fails.
        for offset in range(batch.num_rows):
            try:
                (values,) = batch.slice(offset, 1).to_pylist()
            except arrow_errors() as error:
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
