"""Rows of .parquet files, read by pyarrow."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from autocog_core.dataset.arrow_rows import BATCH_ROWS, arrow_errors, import_error, read_batches
from autocog_core.dataset.row_format import Entry, RowFormat, open_file
from autocog_core.dataset.row_source import RowSource
from autocog_core.errors import InputError


def _read(source: RowSource) -> Iterator[Entry]:
    file = _open(source)
    yield from read_batches(source, file.schema_arrow, file.iter_batches(batch_size=BATCH_ROWS))


def _count(source: RowSource, limit: int | None) -> int:
    count = int(_open(source).metadata.num_rows)
    return count if limit is None else min(count, limit)


def _columns(source: RowSource) -> tuple[str, ...]:
    return tuple(_open(source).schema_arrow.names)


def _open(source: RowSource) -> Any:
    open_file(source).close()
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise import_error(source, ".parquet files", "parquet") from error
    try:
        file = _decompress(source) if source.compression else source.path
        return ParquetFile(file, page_checksum_verification=True)
    except arrow_errors() as error:
        raise InputError(f"is not a parquet file: {error}", where=source.name) from error


def _decompress(source: RowSource) -> IO[bytes]:
    """Return a temporary file with the content: its reader begins at the end, and jumps."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the reader keeps it
    with open_file(source) as stream:
        shutil.copyfileobj(stream, file)
    file.seek(0)
    return file


PARQUET = RowFormat(read=_read, count=_count, columns=_columns)
