"""Bytes by key in one SQLite file: bounded, shared by processes, and never an error.

SQLite keeps the file whole whatever is killed while it writes. Each value carries a checksum; what
is damaged all the same is thrown away, for everything in it can be computed again. No library of
caches: the usual one unpickles what it finds in its file, and pickles can hold programs.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)
Result = TypeVar("Result")

#: Seconds that a process waits for another one that writes.
PATIENCE = 10.0
#: What is used often is noted so often, in seconds: a note is a write.
NOTED_EVERY = 3600
#: Beyond this share of the bound values are dropped, until no more than the other is filled.
FULL, FILLED = 0.95, 0.85
#: How full it is is looked at whenever this share of the bound was put.
LOOKED_EVERY = 0.02
#: Bytes that SQLite's log keeps once it was written over to the file.
LOG = 4_000_000
_CHECKSUM = 16
# `used` stands before the value: what comes after a long value is slow to read.
_SCHEMA = "CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, used INTEGER, value BLOB)"
# Taken over from a parent process. Not even closed: that would let go of the parent's locks.
_inherited: list[sqlite3.Connection] = []


class ByteStore:
    """A file of values, of which those unused the longest go when it is full.

    Whatever is wrong with the file is told once as a warning, and then it is as if it were empty.

    :param size: bytes that the file may have; beside it SQLite keeps a log of a few MB.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._warned = False
        #: Bytes put since it was last looked at how full it is; at first nobody knows.
        self._put_since = size

    def get(self, key: bytes) -> bytes | None:
        """The value kept for `key`, as it was put; None where there is none."""
        kept = self._try(lambda file: self._get(file, key))
        if kept is None:
            return None
        checksum, value = kept[:_CHECKSUM], kept[_CHECKSUM:]
        if checksum == _checksum(key, value):
            return value
        self._warn("a value in it is damaged, and is computed again")
        return None

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value; one that fills much of the bound alone is not kept."""
        if len(value) < self.size * FILLED / 2:
            self._try(lambda file: self._put(file, key, _checksum(key, value) + value))

    def close(self) -> None:
        """Close the file; it is opened again when it is used again."""
        with self._lock:
            self._put_inherited_aside()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _get(self, file: sqlite3.Connection, key: bytes) -> bytes | None:
        row = file.execute("SELECT value, used FROM kept WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        value, used = row
        now = int(time.time())
        if now - used > NOTED_EVERY:
            # Another process may be writing, and it is not worth waiting for.
            file.execute("PRAGMA busy_timeout = 0")
            with suppress(sqlite3.OperationalError):
                file.execute("UPDATE kept SET used = ? WHERE key = ?", (now, key))
            file.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")
        if not isinstance(value, bytes):
            raise sqlite3.DatabaseError("a value is no bytes")
        return value

    def _put(self, file: sqlite3.Connection, key: bytes, value: bytes) -> None:
        file.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", (key, int(time.time()), value))
        self._put_since += len(value)
        if self._put_since > self.size * LOOKED_EVERY:
            self._put_since = 0
            if self._filled(file) > self.size * FULL:
                self._drop(file)

    def _drop(self, file: sqlite3.Connection) -> None:
        """Make room: a tenth of the values at a time, those unused the longest first."""
        while self._filled(file) > self.size * FILLED:
            count = file.execute("SELECT count(*) FROM kept").fetchone()[0]
            oldest = "SELECT rowid FROM kept ORDER BY used, rowid LIMIT ?"
            file.execute(f"DELETE FROM kept WHERE rowid IN ({oldest})", (count // 10 + 1,))  # noqa: S608
            # As a script: by itself it gives back one page each time it is asked to go on.
            file.executescript("PRAGMA incremental_vacuum")
            if count == 0:
                break
        # Only now the system has the room.
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @staticmethod
    def _filled(file: sqlite3.Connection) -> int:
        filled: int = file.execute(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        ).fetchone()[0]
        return filled

    def _try(self, work: Callable[[sqlite3.Connection], Result | None]) -> Result | None:
        """What comes of `work`; None if the file does not let it."""
        with self._lock:
            try:
                return work(self._opened())
            except sqlite3.OperationalError as error:
                # Full, locked, or not to be written: not damaged.
                self._warn(str(error))
            except sqlite3.DatabaseError as error:
                self._warn(f"it is damaged ({error}): it is moved aside, and begun anew")
                self._recreate()
            except OSError as error:
                self._warn(error.strerror or str(error))
        return None

    def _opened(self) -> sqlite3.Connection:
        self._put_inherited_aside()
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _open(self.path)
        return self._connection

    def _put_inherited_aside(self) -> None:
        if self._process != os.getpid():
            if self._connection is not None:
                _inherited.append(self._connection)
            self._connection, self._process = None, os.getpid()

    def _recreate(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        try:
            with FileLock(f"{self.path}.lock", timeout=PATIENCE):
                # Another process may have done it already.
                if not _is_sound(self.path):
                    # Aside, not away: a path given by mistake may be that of anything.
                    self.path.replace(f"{self.path}.damaged")
                    for suffix in ("-wal", "-shm"):
                        Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        except (OSError, Timeout) as error:
            self._warn(str(error))

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("cache %s: %s", self.path, what)


def _open(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        # Before the first table, or it has no effect.
        file.execute("PRAGMA auto_vacuum = INCREMENTAL")
        file.execute("PRAGMA journal_mode = WAL")
        # Safe when processes are killed; a power failure may cost the last values.
        file.execute("PRAGMA synchronous = NORMAL")
        file.execute(f"PRAGMA journal_size_limit = {LOG}")
        file.execute(_SCHEMA)
    except BaseException:
        file.close()
        raise
    return file


def _is_sound(path: Path) -> bool:
    try:
        file = _open(path)
        try:
            answer: str = file.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            file.close()
    except sqlite3.OperationalError:
        # Locked, say: not damaged.
        return True
    except sqlite3.DatabaseError:
        return False
    return answer == "ok"


def _checksum(key: bytes, value: bytes) -> bytes:
    # The key as well: a damaged index may lead to another key's value.
    return hashlib.blake2b(value, digest_size=_CHECKSUM, key=key[:64]).digest()
