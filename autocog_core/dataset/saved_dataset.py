"""Rows of a folder that `save_to_disk` of `datasets` wrote, read by pyarrow alone.

Its data files are streams of Arrow batches. They are not mapped into memory: if another program
cut such a file, this process would end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autocog_core.dataset.arrow_rows import BATCH_ROWS, arrow_errors, import_error, read_batches
from autocog_core.dataset.row_format import Entry, RowFormat, open_file
from autocog_core.dataset.row_source import RowSource
from autocog_core.errors import InputError


def _read(source: RowSource) -> Iterator[Entry]:
    first_row = 0
    for path in source.files():
        with _open(source, path) as stream:
            for batch in stream:
                # Unlike Parquet's, the reader believes what a damaged file says about its sizes.
                batch.validate(full=True)
                slices = (
                    batch.slice(start, BATCH_ROWS) for start in range(0, batch.num_rows, BATCH_ROWS)
                )
                yield from read_batches(source, stream.schema, slices, first_row)
                first_row += batch.num_rows


def _count(source: RowSource, limit: int | None) -> int:
    count = 0
    for path in source.files():
        with _open(source, path) as stream:
            for batch in stream:
                count += batch.num_rows
                if limit is not None and count >= limit:
                    return limit
    return count


def _columns(source: RowSource) -> tuple[str, ...]:
    with _open(source, source.files()[0]) as stream:
        return tuple(stream.schema.names)


@contextmanager
def _open(source: RowSource, path: Path) -> Iterator[Any]:
    """Open a data file; its damage is an error of the source."""
    open_file(source, path).close()
    try:
        import pyarrow as pa
    except ImportError as error:
        raise import_error(source, "folders of `datasets`", "datasets") from error
    try:
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
            yield stream
    except InputError:
        raise
    except arrow_errors() as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error


SAVED_DATASET = RowFormat(read=_read, count=_count, columns=_columns)
