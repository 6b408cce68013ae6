"""Files: text that people wrote, and files that are complete and undamaged, or not there."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path

from autocog_core.errors import InputError, UsageError

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode_text(content: bytes, where: str, error_type: type[UsageError] = InputError) -> str:
    """Return the text of a UTF-8 file, without the byte order mark that some editors write.

    :param content: the whole file.
    :param where: the file, for messages.
    :param error_type: the error to raise.
    :raises UsageError: if the file is not UTF-8; the message names the line.
    """
    if content.startswith(_UTF_16_MARKS):
        raise error_type("is UTF-16 text", where=where, hint="save the file as UTF-8 text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise error_type(
            "is not valid UTF-8", where=f"{where}:{line}", hint="save the file as UTF-8 text"
        ) from error


@contextmanager
def write_atomically(path: Path, *, suffix: str = ".part") -> Iterator[BufferedWriter]:
    """Open a temporary file beside `path` that replaces it at the end of the block.

    After an error, or if the process is killed, `path` is what it was before.

    :param path: the file to write. A symbolic link is replaced, not followed.
    :param suffix: what follows the name of `path` in the name of the temporary file. Writers of
        the same file that share no lock need different suffixes.
    :raises OSError: if the file cannot be written.
    """
    temporary = path.with_name(path.name + suffix)
    try:
        with temporary.open("wb") as stream:
            yield stream
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_checked(path: Path, content: bytes, *, suffix: str = ".part") -> None:
    """Write a file atomically, with a checksum for `read_checked`.

    :param path: the file.
    :param content: what `read_checked` returns.
    :param suffix: see `write_atomically`.
    :raises OSError: if the file cannot be written.
    """
    with write_atomically(path, suffix=suffix) as stream:
        stream.write(_checksum_line(content) + content)


def read_checked(path: Path) -> bytes | None:
    """Return the content of a file that `write_checked` has written; None if it is damaged.

    :param path: the file.
    :raises OSError: if the file cannot be read.
    """
    first_line, line_end, content = path.read_bytes().partition(b"\n")
    return content if first_line + line_end == _checksum_line(content) else None


def _checksum_line(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode() + b"\n"
