"""A file that one writer at a time writes to, wherever a link to it stands."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from autocog_core.errors import InputError


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
