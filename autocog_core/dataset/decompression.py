"""Compressed input files as streams of bytes, whose damage is an error of the input."""

from __future__ import annotations

import gzip
import importlib
import io
import sys
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from autocog_core.dataset.row_source import Compression
from autocog_core.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_SUFFIXES = {"gzip": ".gz", "zstd": ".zst"}


def decompress(path: Path, name: str, compression: Compression) -> io.BufferedReader:
    """Open a compressed file.

    :param path: the file.
    :param name: what messages call it.
    :param compression: "gzip" or "zstd".
    :raises InputError: if it needs a package that is not installed; while it is read, if it is
        damaged or cut off.
    :raises OSError: if it cannot be opened.
    """
    errors: tuple[type[Exception], ...] = (OSError, EOFError)
    if compression == "zstd":
        zstd = _zstd(name)
        file, errors = cast("IO[bytes]", zstd.ZstdFile(path)), (*errors, zstd.ZstdError)
    else:
        file, errors = cast("IO[bytes]", gzip.GzipFile(path)), (*errors, zlib.error)
    return io.BufferedReader(_Decompressed(file, name, compression, errors))


def _zstd(name: str) -> Any:
    """Return the module that reads Zstandard: part of Python from 3.14 on."""
    try:
        return importlib.import_module(
            "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
        )
    except ImportError as error:
        hint = 'pip install "autocog-core[zstd]"'
        raise InputError(
            "reading .zst files needs backports.zstd", where=name, hint=hint
        ) from error


class _Decompressed(io.RawIOBase):
    """The decompressed bytes of a file."""

    def __init__(
        self,
        file: IO[bytes],
        name: str,
        compression: Compression,
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._file = file
        self._name = name
        self._compression = compression
        self._errors = errors

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        try:
            content = self._file.read(len(view))
        except self._errors as error:
            message = f"is damaged, or no {_SUFFIXES[self._compression]} file: {error}"
            raise InputError(message, where=self._name) from error
        view[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()
