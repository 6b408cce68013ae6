"""Rows of .json files: one list of objects.

The list is split into the texts of its elements, which are parsed as lines of .jsonl files are. So
a file may be larger than memory, and an element that is no row is an error of that row only.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from autocog_core.dataset.jsonl_rows import parse_row
from autocog_core.dataset.row_format import Entry, RowFormat, count_items, open_text_file
from autocog_core.dataset.row_source import RowSource
from autocog_core.errors import InputError

_CHUNK_BYTES = 2**16
_BOM = b"\xef\xbb\xbf"
_BLANKS = re.compile(rb"[ \t\n\r]*+")
#: Text without brackets outside of whole strings.
_NO_BRACKETS = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
#: A value that is no object or list. Whether it is valid is decided later.
_SCALAR = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^"\[\]{},\s]++', re.DOTALL)


class _ListSplitter:
    """Splits a JSON list into the texts of its elements.

    :ivar row: index of the current element.
    """

    def __init__(self, stream: io.BufferedReader, name: str) -> None:
        self._stream = stream
        self._name = name
        self._buffer = b""
        self._position = 0
        self.row = 0

    def split(self) -> Iterator[bytes]:
        """Yield the text of each element.

        :raises InputError: if the text is no list, from the place where that shows.
        """
        self._read_more()
        self._position = len(_BOM) if self._buffer.startswith(_BOM) else 0
        if self._next_byte() != b"[":
            hint = "write [{...}, {...}]; one object a line is the format jsonl (--input-format)"
            raise InputError("is not a JSON list of objects", where=self._name, hint=hint)
        self._position += 1
        if self._next_byte() != b"]":
            yield self._read_element()
            while (byte := self._next_byte()) == b",":
                self._position += 1
                self._next_byte()
                self.row += 1
                yield self._read_element()
            if byte != b"]":
                raise self._broken("has no comma or bracket after" if byte else "ends after")
        self._position += 1
        if self._next_byte():
            raise InputError("has text after the list", where=self._name)

    def _next_byte(self) -> bytes:
        """Go to the next byte that is not blank, and return it; nothing at the end."""
        while True:
            self._position = self._match(_BLANKS, self._position)
            if self._position < len(self._buffer) or not self._read_more():
                return self._buffer[self._position : self._position + 1]

    def _read_element(self) -> bytes:
        while True:
            end = self._find_end()
            if end is not None and (end < len(self._buffer) or not self._read_more()):
                text = self._buffer[self._position : end]
                self._position = end
                return text
            if end is None and not self._read_more():
                raise self._broken("ends in")

    def _find_end(self) -> int | None:
        """Return the end of the element that begins here; None if the buffer ends before."""
        position, depth = self._position, 0
        if self._buffer[position : position + 1] not in (b"{", b"["):
            match = _SCALAR.match(self._buffer, position)
            if match is None and position < len(self._buffer):
                if self._buffer[position : position + 1] != b'"':
                    raise self._broken("has no value for")
                return None
            return None if match is None else match.end()
        while position < len(self._buffer):
            byte = self._buffer[position : position + 1]
            if byte == b'"':
                # The string does not end in the buffer.
                return None
            depth += 1 if byte in b"{[" else -1
            position += 1
            if depth == 0:
                return position
            position = self._match(_NO_BRACKETS, position)
        return None

    def _match(self, pattern: re.Pattern[bytes], position: int) -> int:
        match = pattern.match(self._buffer, position)
        assert match is not None
        return match.end()

    def _read_more(self) -> bool:
        """Read on. A long element is read in steps that double, so that its time is linear."""
        rest = self._buffer[self._position :]
        more = self._stream.read(max(_CHUNK_BYTES, len(rest)))
        self._buffer, self._position = rest + more, 0
        return bool(more)

    def _broken(self, problem: str) -> InputError:
        return InputError(
            f"{problem} row {self.row}",
            where=self._name,
            hint="it is not valid JSON from there on: complete or correct it",
        )


def _read(source: RowSource) -> Iterator[Entry]:
    with open_text_file(source) as stream:
        for row, text in enumerate(_ListSplitter(stream, source.name).split()):
            yield parse_row(text, f"{source.name}, row {row}", 'write {"column": value, ...}')


def _count(source: RowSource, limit: int | None) -> int:
    with open_text_file(source) as stream:
        return count_items(_ListSplitter(stream, source.name).split(), limit)


def _no_columns(source: RowSource) -> None:
    """Check that the file begins with a list."""
    _count(source, 1)


JSON = RowFormat(read=_read, count=_count, columns=_no_columns)
