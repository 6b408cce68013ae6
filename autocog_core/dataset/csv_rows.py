"""Rows of .csv and .tsv files, as spreadsheets and data frames write them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from autocog_core.dataset.row_format import Entry, RowFormat, count_items, open_text_file
from autocog_core.dataset.row_source import RowSource
from autocog_core.errors import InputError, shorten

#: Characters in a cell. Some prompts exceed the default limit of 128 KiB.
MAX_CELL_LENGTH = 2**30

#: What stands between the cells, by format.
SEPARATORS = {"csv": ",", "tsv": "\t"}
_SEPARATOR_NAMES = {"csv": "commas", "tsv": "tabs"}

#: The cells of a row with the number of its first line, or why they cannot be read.
CsvRow = tuple[int, list[str] | csv.Error]


def _read_cells(stream: io.BufferedReader, source: RowSource) -> Iterator[CsvRow]:
    # Bytes that are not UTF-8 become surrogates, so that only their row fails.
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    # Strict, because otherwise an unclosed quote swallows the rest of the file.
    reader = csv.reader(text, delimiter=SEPARATORS[source.format], strict=True)
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


def _read_header(source: RowSource, rows: Iterator[CsvRow]) -> list[str]:
    """Return the names of all cells of the header; "" for a cell that names no column."""
    where = f"{source.name}, header"
    _, names = next(rows, (1, []))
    if isinstance(names, csv.Error):
        # Spreadsheets quote names even where they separate them by semicolons.
        hint = f"separate the columns by {_SEPARATOR_NAMES[source.format]}"
        raise InputError(f"is not valid CSV: {names}", where=where, hint=hint)
    # Spreadsheets end the header with a comma, and data frames begin it with one.
    names = [name if name.strip() else "" for name in names]
    if not any(names):
        raise InputError("is missing", where=where, hint="name the columns in the first line")
    reject_duplicates(source, [name for name in names if name])
    if not _is_utf8(names):
        raise InputError("is not UTF-8", where=where, hint="save the file as UTF-8")
    return names


def _read(source: RowSource) -> Iterator[Entry]:
    with open_text_file(source) as stream:
        rows = _read_cells(stream, source)
        names = _read_header(source, rows)
        # Rows may lack the cells at the end that have no name.
        separators = _SEPARATOR_NAMES[source.format]
        fewest = max(number for number, name in enumerate(names, 1) if name)
        for line, cells in rows:
            where = f"{source.name}, line {line}"
            if isinstance(cells, csv.Error):
                yield InputError(f"is not valid CSV: {_describe(cells)}", where=where)
            elif not fewest <= len(cells) <= len(names):
                message = f"has {len(cells)} cells for {len(names)} columns"
                yield InputError(
                    message, where=where, hint=f"put cells with {separators} into quotes"
                )
            elif not _is_utf8(cells):
                yield InputError("is not UTF-8", where=where, hint="save the file as UTF-8")
            else:
                # An empty cell has no value, as null in the other formats.
                yield {name: cell or None for name, cell in zip(names, cells, strict=False) if name}


def _count(source: RowSource, limit: int | None) -> int:
    with open_text_file(source) as stream:
        rows = _read_cells(stream, source)
        _read_header(source, rows)
        return count_items(rows, limit)


def _columns(source: RowSource) -> tuple[str, ...]:
    with open_text_file(source) as stream:
        return tuple(filter(None, _read_header(source, _read_cells(stream, source))))


def _describe(error: csv.Error) -> str:
    """Return what is wrong. At the end of the file, the reader does not say that it is a quote."""
    return "a quote is not closed" if str(error) == "unexpected end of data" else str(error)


def _is_utf8(cells: Iterable[str]) -> bool:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return False
    return True


def reject_duplicates(source: RowSource, names: Sequence[str]) -> None:
    """Check that no two columns have the same name.

    :raises InputError: naming those that have.
    """
    duplicates = sorted(name for name, count in Counter(names).items() if count > 1)
    if duplicates:
        quoted = ", ".join(f'"{name}"' for name in duplicates)
        raise InputError(f"has several columns named {shorten(quoted, 320)}", where=source.name)


CSV = RowFormat(read=_read, count=_count, columns=_columns)
