"""What the readers of all kinds of input files share."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from autocog_core.dataset.decompression import decompress
from autocog_core.dataset.row_source import RowSource
from autocog_core.errors import InputError

#: A row's values by column, or why it cannot be read.
Entry = dict[str, Any] | InputError


@dataclass(frozen=True, kw_only=True)
class RowFormat:
    """How to read the files of one format.

    :ivar read: yields the entries of a source.
    :ivar count: counts its rows, up to a limit.
    :ivar columns: returns the names of its columns; None if each row has its own.
    """

    read: Callable[[RowSource], Iterator[Entry]]
    count: Callable[[RowSource, int | None], int]
    columns: Callable[[RowSource], tuple[str, ...] | None]


def open_file(source: RowSource, path: Path | None = None) -> io.BufferedReader:
    """Open an input file; its bytes are decompressed.

    :param source: the source.
    :param path: a file of the source; None for its only one.
    :raises InputError: if it cannot be read, or is no file: a pipe can be read only once.
    """
    path = source.path if path is None else path
    try:
        if path.exists() and not path.is_file():
            hint = "name a file with the rows; for a pipe: COMMAND | autocog run ... --input -"
            raise InputError("is not a file", where=source.name, hint=hint)
        if source.compression:
            return decompress(path, source.name, source.compression)
        return path.open("rb")
    except OSError as error:
        raise unreadable(source, error) from error


def open_text_file(source: RowSource) -> io.BufferedReader:
    """Open an input file that should be UTF-8.

    :raises InputError: if it cannot be read, or its first bytes are UTF-16.
    """
    stream = open_file(source)
    try:
        start = stream.peek(4)[:4]
        if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start:
            hint = "save the file as UTF-8"
            raise InputError("is UTF-16, not UTF-8", where=source.name, hint=hint)
    except BaseException:
        stream.close()
        raise
    return stream


def unreadable(source: RowSource, error: OSError) -> InputError:
    """Return the error for an input file that cannot be read."""
    return InputError(f"cannot be read: {error.strerror or error}", where=source.name)


def count_items(items: Iterable[object], limit: int | None) -> int:
    """Count items, at most `limit`."""
    return sum(1 for _ in islice(items, limit))
