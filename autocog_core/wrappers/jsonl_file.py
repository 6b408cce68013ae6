"""A file of JSON lines that several threads and processes append to, and locks of files."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from autocog_core.errors import ConfigError, InputError

log = logging.getLogger(__name__)


class JsonlFile:
    """A file of JSON lines. Each line is in the file when `write` returns.

    :param path: the file; lines are appended.
    :raises ConfigError: if the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stream: FileIO | None = None
        self._warned = False
        try:
            self._stream = _open_for_append(path)
        except OSError as error:
            raise ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from error

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a line. If this fails, log one warning: the traced call continues."""
        line = json.dumps(record, default=str).encode() + b"\n"
        with self._lock:
            try:
                self._stream = self._stream or _open_for_append(self.path)
                # In one unbuffered write, so that lines of several processes stay whole.
                self._stream.write(line)
            except OSError as error:
                if not self._warned:
                    self._warned = True
                    log.warning("%s cannot be written: %s", self.path, error.strerror)

    def close(self) -> None:
        """Close the file; a later `write` opens it again."""
        with self._lock:
            if self._stream is not None:
                self._stream.close()
                self._stream = None


def _open_for_append(path: Path) -> FileIO:
    return path.open("ab", buffering=0)


def resolve_link(path: Path) -> Path:
    """Return the target of a symbolic link, or the path itself."""
    return path.resolve() if path.is_symlink() else path


def lock_file(path: Path) -> FileLock:
    """Lock a file for one writer.

    :raises InputError: if another writer holds the lock, or nothing can be written there.
    """
    lock = FileLock(f"{resolve_link(path)}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            "another model is recorded to it",
            where=str(path),
            hint="give each model that is open at the same time its own file",
        ) from error
    except OSError as error:
        raise unwritable_error(path, error) from error
    return lock


def unlock_file(lock: FileLock) -> None:
    """Release a lock and remove its file."""
    # Before the release: a process that opens the path later creates another file, and filelock
    # notices that a file that was opened earlier is gone. Windows refuses to remove an open file;
    # filelock removes it there.
    with suppress(OSError):
        os.unlink(lock.lock_file)
    lock.release()


def unwritable_error(path: Path, error: OSError) -> InputError:
    """Return the error to raise for a file that cannot be written."""
    return InputError(f"cannot be written: {error.strerror or error}", where=str(path))
