"""Files that other processes see complete or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path


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
