"""What the readers of all kinds of input files share."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from autocog_core.errors import InputError

#: A row's values by column, or why it cannot be read.
Entry = dict[str, Any] | InputError


@dataclass(frozen=True, kw_only=True)
class RowFormat:
    """How to read the files of one suffix.

    :ivar read: yields the entries of a file.
    :ivar count: counts its rows, up to a limit.
    :ivar columns: returns the names of its columns; None if each row has its own.
    """

    read: Callable[[Path], Iterator[Entry]]
    count: Callable[[Path, int | None], int]
    columns: Callable[[Path], tuple[str, ...] | None]


def open_file(path: Path) -> io.BufferedReader:
    """Open an input file.

    :raises InputError: if it cannot be read, or is no file: a pipe can be read only once.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError("is not a file", where=str(path), hint="name a file with the rows")
        return path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error


def open_text_file(path: Path) -> io.BufferedReader:
    """Open an input file that should be UTF-8.

    :raises InputError: if it cannot be read, or its first bytes are UTF-16.
    """
    stream = open_file(path)
    start = stream.peek(4)[:4]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start:
        stream.close()
        raise InputError("is UTF-16, not UTF-8", where=str(path), hint="save the file as UTF-8")
    return stream


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error for an input file that cannot be read."""
    return InputError(f"cannot be read: {error.strerror or error}", where=str(path))


def count_items(items: Iterable[object], limit: int | None) -> int:
    """Count items, at most `limit`."""
    return sum(1 for _ in islice(items, limit))
