"""A file of JSON lines that several threads and processes add to."""

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


class LineFile:
    """Adds lines, each in the file when `write` returns.

    :raises ConfigError: if the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stream: FileIO | None = None
        self._warned = False
        try:
            self._stream = _appending(path)
        except OSError as error:
            raise ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from error

    def write(self, record: Mapping[str, Any]) -> None:
        """Add a line. A full disk is told as a warning: whoever is watched goes on."""
        line = json.dumps(record, default=str).encode() + b"\n"
        with self._lock:
            try:
                self._stream = self._stream or _appending(self.path)
                # At once and to the end, so that lines of several processes stay whole.
                self._stream.write(line)
            except OSError as error:
                if not self._warned:
                    self._warned = True
                    log.warning("%s cannot be written: %s", self.path, error.strerror)

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        with self._lock:
            if self._stream is not None:
                self._stream.close()
                self._stream = None


def _appending(path: Path) -> FileIO:
    return path.open("ab", buffering=0)


def target_of(path: Path) -> Path:
    """The file itself, where the path is a link to it."""
    return path.resolve() if path.is_symlink() else path


def lock_of(path: Path) -> FileLock:
    """Lock a file for as long as it is written to.

    :raises InputError: if another writer has locked it, or it cannot be written.
    """
    lock = FileLock(f"{target_of(path)}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            "another model is recorded to it",
            where=str(path),
            hint="give each model that is open at the same time a file of its own",
        ) from error
    except OSError as error:
        raise unwritable(path, error) from error
    return lock


def unlock(lock: FileLock) -> None:
    """Let go of it, and leave nothing beside it."""
    # While it is held: whoever opens it after that opens another one, and filelock sees of one
    # opened before that it is gone. Some systems remove no open file; the lock does it there.
    with suppress(OSError):
        os.unlink(lock.lock_file)
    lock.release()


def unwritable(path: Path, error: OSError) -> InputError:
    """What went wrong with it, to be raised."""
    return InputError(f"cannot be written: {error.strerror or error}", where=str(path))
