"""The folder for data that outlives a run: `$AUTOCOG_CACHE`, else the user's cache folder.

Everything in it can be computed again: if the folder cannot be used, that costs a warning.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from autocog_core.config.paths import resolve_new_path, user_folder
from autocog_core.errors import ConfigError
from autocog_core.files import read_checked, write_checked

CACHE_DIR_VARIABLE = "AUTOCOG_CACHE"
log = logging.getLogger(__name__)
#: Cache folders of which the log has a warning.
_warned: set[str] = set()


def cache_folder(plugin: str = "") -> Path:
    """Return the cache folder, which may not exist yet.

    :param plugin: the name of a plugin's own folder inside it.
    :raises ConfigError: if `$AUTOCOG_CACHE` is no path, or if it is not set and there is no home.
    """
    value = os.environ.get(CACHE_DIR_VARIABLE)
    try:
        folder = resolve_new_path(value) if value else user_folder(user_cache_path)
    except ValueError as error:
        raise ConfigError(str(error), where=f"${CACHE_DIR_VARIABLE}") from error
    if folder is None:
        raise ConfigError(
            "there is no cache folder, because the home folder is not known",
            hint=f"set HOME, or {CACHE_DIR_VARIABLE} to a folder",
        )
    return folder / plugin


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file.

    The cache folder keeps it, by the file's path, size and modification time.

    :param path: the file.
    :raises OSError: if the file cannot be read.
    """
    status = path.stat()
    key = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    with _stored_hashes() as hashes:
        if key not in hashes:
            with path.open("rb") as stream:
                hashes[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        return hashes[key]


def read_cached(name: str, *, max_age_seconds: float = math.inf) -> bytes | None:
    """Return what `write_cached` has stored; None if there is nothing, or if it is damaged.

    :param name: the file's path in the cache folder.
    :param max_age_seconds: older files are not read.
    """
    try:
        path = cache_folder() / name
        if time.time() - path.stat().st_mtime > max_age_seconds:
            return None
        return read_checked(path)
    except (OSError, ConfigError):
        return None


def write_cached(name: str, content: bytes) -> None:
    """Store a small file in the cache folder. If that is not possible, log a warning.

    :param name: the file's path in the cache folder.
    :param content: the content.
    """
    try:
        path = cache_folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_checked(path, content, suffix=f".{os.getpid()}-{threading.get_ident()}")
    except (OSError, ConfigError) as error:
        warn_not_cached(error)


def warn_not_cached(error: Exception) -> None:
    """Log a warning, once for each cache folder, that something is not kept in it.

    :param error: why not.
    """
    try:
        # What ails it shows in another error for each file.
        where = str(cache_folder())
    except ConfigError as no_folder:
        where = str(no_folder)
    if where not in _warned:
        _warned.add(where)
        log.warning(
            "the cache folder cannot be used, so nothing is kept for the next run: %s", error
        )


@contextmanager
def _stored_hashes() -> Iterator[dict[str, str]]:
    """The hashes in the cache folder; what the block adds is stored.

    The lock is held meanwhile, so that of several processes only one reads a large file.
    """
    try:
        path = cache_folder() / "hashes"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock")
        lock.acquire()
    except (OSError, ConfigError, NotImplementedError) as error:
        warn_not_cached(error)
        yield {}
        return
    try:
        hashes = _read_hashes(path)
        count = len(hashes)
        yield hashes
        if len(hashes) > count:
            _write_hashes(path, hashes)
    finally:
        lock.release()


def _read_hashes(path: Path) -> dict[str, str]:
    try:
        content = read_checked(path)
    except OSError:
        return {}
    hashes: dict[str, str] = json.loads(content) if content is not None else {}
    return hashes


def _write_hashes(path: Path, hashes: dict[str, str]) -> None:
    try:
        write_checked(path, json.dumps(hashes).encode())
    except OSError as error:
        warn_not_cached(error)
