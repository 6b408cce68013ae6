"""Tables as .csv and .tsv files, as spreadsheets and data frames read them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autocog_core.dataset.column import Column
from autocog_core.dataset.column_kind import cell_text
from autocog_core.dataset.output_format import ByteStream


class CsvTable:
    """Writes rows below a header: UTF-8, quotes where they are needed, lines that end in a newline.

    Missing values are empty cells, numbers have all their digits, truth values are `true` and
    `false`, and lists are JSON.

    :param stream: where the bytes go.
    :param columns: the columns.
    :param delimiter: what separates cells.
    """

    def __init__(self, stream: ByteStream, columns: Sequence[Column], delimiter: str = ",") -> None:
        self._readers = [column.read for column in columns]
        self._writer = csv.writer(_Lines(stream), delimiter=delimiter)
        self._writer.writerow([column.name for column in columns])

    def write(self, row: Mapping[str, Any]) -> None:
        """Write an output row."""
        self._writer.writerow([_to_cell(read(row)) for read in self._readers])

    def write_all(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write output rows."""
        for row in rows:
            self.write(row)


class _Lines:
    """Ends lines with a newline alone.

    The writer would then not quote a carriage return in a cell, and no reader could read it.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        text = line.removesuffix("\r\n") + "\n"
        self._stream.write(text.encode("utf-8", errors="backslashreplace"))


def _to_cell(value: Any) -> str | None:
    return value if value is None or type(value) is str else cell_text(value)
