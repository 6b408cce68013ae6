"""Standard output and standard error that are closed, full, or whose reader has ended."""

from __future__ import annotations

import errno
import os
import sys
from typing import TextIO, cast

#: What a stream without a name gives that can take no more.
_STREAM_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def open_closed_streams() -> None:
    """Open the streams that the caller closed (`>&-`).

    Else the next file that is opened would get the number of the stream, and with it what
    libraries print.
    """
    # In the order of their numbers: the system gives the lowest that is free.
    if sys.stdin is None:
        sys.stdin = _open_null(os.O_RDONLY, "r")
    if sys.stdout is None:
        # Opened for reading, so that writing fails: results are not lost without a word.
        sys.stdout = _open_null(os.O_RDONLY, "w")
    if sys.stderr is None:
        sys.stderr = _open_null(os.O_WRONLY, "w")


def _open_null(flags: int, mode: str) -> TextIO:
    # Never closed, because child processes may inherit it.
    stream = os.fdopen(os.open(os.devnull, flags), mode, encoding="utf-8", closefd=False)
    return cast("TextIO", stream)


def is_stream_error(error: BaseException) -> bool:
    """Return whether a stream can take no more; errors of files have the name of the file."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _STREAM_ERRNOS


def discard(stream: TextIO) -> None:
    """Drop what is still buffered, so that the interpreter does not complain at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        # Not a real file: nothing is flushed at exit.
        return
