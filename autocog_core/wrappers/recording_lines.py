"""The lines of a recording: JSON, each with a checksum of its content and its place in the file.

A flipped bit in a number would be a number as well, so no line is read without its checksum.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

from autocog_core.errors import InputError

Line = dict[str, Any]
RECORD_AGAIN = 'record again with the wrapper "record"'
_CHECKSUM_BYTES = 8
#: What ends each line: the last entry of its object, with the digits of the checksum between.
_BEFORE_CHECKSUM, _AFTER_CHECKSUM = b',"checksum":"', b'"}\n'


def open_recording(path: Path, mode: str) -> BufferedIOBase:
    """Open a file; if its name ends in .gz, it is compressed."""
    open_file = gzip.open if path.suffix == ".gz" else open
    return cast("BufferedIOBase", open_file(path, mode))


def encode_line(number: int, data: Mapping[str, Any]) -> bytes:
    """Return a line of the file.

    :param number: the line's number, from 1.
    :param data: its content, which is not empty.
    """
    content = json.dumps(data, separators=(",", ":"), default=str).encode().removesuffix(b"}")
    return content + _BEFORE_CHECKSUM + _checksum(number, content) + _AFTER_CHECKSUM


def read_lines(path: Path) -> list[bytes]:
    """Return the lines, without an incomplete last line of a killed process.

    Byte order marks, and the line ends that git writes on Windows, are no damage: they are removed.

    :raises InputError: if the file cannot be read, or its compressed data is damaged.
    """
    try:
        lines = list(_complete_lines(path))
    except zlib.error as error:
        raise InputError(f"is damaged: {error}", where=str(path), hint=RECORD_AGAIN) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    if lines:
        lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
    return [
        line.removesuffix(b"\r\n") + b"\n" if line.endswith(b"\r\n") else line for line in lines
    ]


def decode_lines(path: Path, lines: Iterable[bytes]) -> Iterator[tuple[int, Line]]:
    """Yield the number and the content of each line.

    :param path: the file, for messages.
    :param lines: all lines of the file.
    :raises InputError: if a line is damaged.
    """
    for number, line in enumerate(lines, 1):
        yield number, _decode_line(path, number, line)


def bad_line_error(path: Path, number: int, problem: str) -> InputError:
    """Return the error for a line.

    :param problem: what is wrong, such as "is damaged".
    """
    return InputError(problem, where=f"{path}, line {number}", hint=RECORD_AGAIN)


def _decode_line(path: Path, number: int, line: bytes) -> Line:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise bad_line_error(path, number, "is not a line of a recording") from error
    if not isinstance(data, dict):
        raise bad_line_error(path, number, "is not a line of a recording")
    # A file of the older format, or of another program, is no damaged recording.
    if "checksum" in data:
        content, _, checksum = line.rpartition(_BEFORE_CHECKSUM)
        if checksum != _checksum(number, content) + _AFTER_CHECKSUM:
            raise bad_line_error(path, number, "is damaged: it does not match its checksum")
    elif number > 1:
        raise bad_line_error(path, number, "has no checksum: it was damaged or edited")
    return data


def _complete_lines(path: Path) -> Iterator[bytes]:
    with open_recording(path, "rb") as stream:
        try:
            for line in stream:
                if line.endswith(b"\n"):
                    yield line
        except EOFError:
            # The writer was killed before it wrote the end of the compressed data.
            return


def _checksum(number: int, content: bytes) -> bytes:
    digest = hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES, key=str(number).encode())
    return digest.hexdigest().encode()
