"""Tables as .parquet files, written by pyarrow, with a type for each column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autocog_core.dataset.column import Column
from autocog_core.dataset.column_kind import Kind, cell_text
from autocog_core.dataset.output_format import ByteStream

#: Rows that are written at once.
BATCH_ROWS = 10_000
#: Characters of text that are written at once: rows with long texts are written sooner.
_BATCH_CHARACTERS = 32_000_000


def write_parquet(
    stream: ByteStream, columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Write a table.

    :param stream: where the bytes go.
    :param columns: the columns, with their kinds.
    :param rows: the output rows.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    kinds = [column.kind or Kind("text") for column in columns]
    types = [_arrow_type(kind) for kind in kinds]
    names = [_to_utf8(column.name) for column in columns]
    schema = pa.schema(list(zip(names, types, strict=True)))
    cells: list[list[Any]] = [[] for _ in columns]
    characters = 0

    def flush() -> None:
        arrays = [pa.array(values, type_) for values, type_ in zip(cells, types, strict=True)]
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        for values in cells:
            values.clear()

    with ParquetWriter(stream, schema, compression="zstd") as writer:
        for row in rows:
            for column, kind, values in zip(columns, kinds, cells, strict=True):
                cell = _to_cell(column.read(row), kind)
                values.append(cell)
                if type(cell) is str:
                    characters += len(cell)
            if len(cells[0]) >= BATCH_ROWS or characters >= _BATCH_CHARACTERS:
                flush()
                characters = 0
        flush()


def _arrow_type(kind: Kind) -> Any:
    import pyarrow as pa

    scalar = {
        "text": pa.string(),
        "json": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
    }[kind.name]
    return pa.list_(scalar) if kind.is_list else scalar


def _to_cell(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    if kind.is_list:
        return [_to_scalar(item, kind) for item in value]
    return _to_scalar(value, kind)


def _to_scalar(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    if kind.name == "number":
        return float(value)
    return _to_utf8(cell_text(value)) if kind.name in ("text", "json") else value


def _to_utf8(text: str) -> str:
    """Return a text with lone surrogates as escapes: Arrow takes none."""
    return text.encode("utf-8", errors="backslashreplace").decode()
