"""A bounded store of bytes by key in one SQLite file, shared by processes.

No operation raises an error: the values of a cache can be computed again. SQLite keeps the file
consistent if a process is killed, and each value has a checksum. The library `diskcache` is no
alternative: it unpickles what the file contains, and pickles can run programs.
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

#: How long to wait for another process that writes.
LOCK_TIMEOUT_SECONDS = 10.0
#: How often the use of a value is noted: each note is a write.
ACCESS_NOTE_INTERVAL_SECONDS = 3600
#: Shares of the maximum size. Above the first, values are deleted down to the second.
HIGH_WATER, LOW_WATER = 0.95, 0.85
#: The size is checked after this share of the maximum size was written.
CHECK_INTERVAL = 0.02
#: Size of SQLite's write-ahead log after a checkpoint.
MAX_WAL_BYTES = 4_000_000
_CHECKSUM_BYTES = 16
# `used` precedes the value, because columns after a long value are slow to read.
_SCHEMA = "CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, used INTEGER, value BLOB)"
# Connections of a parent process. They stay open: closing them would release the parent's locks.
_inherited: list[sqlite3.Connection] = []


class ByteStore:
    """Values of a file; when it is full, the least recently used ones are deleted.

    A problem with the file is logged once, as a warning. The store then behaves as if it were
    empty.

    :param path: the file, which is created on first use.
    :param max_bytes: maximum size of the file. SQLite keeps a log of a few MB beside it.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._warned = False
        #: Bytes written since the last check of the size; the first write checks it.
        self._unchecked_bytes = max_bytes

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, or None if there is none."""
        stored = self._try(lambda connection: self._get(connection, key))
        if stored is None:
            return None
        checksum, value = stored[:_CHECKSUM_BYTES], stored[_CHECKSUM_BYTES:]
        if checksum == _checksum(key, value):
            return value
        self._warn("a value is damaged; it is computed again")
        return None

    def put(self, key: bytes, value: bytes) -> None:
        """Store a value, unless it alone would fill much of the file."""
        if len(value) < self.max_bytes * LOW_WATER / 2:
            stored = _checksum(key, value) + value
            self._try(lambda connection: self._put(connection, key, stored))

    def close(self) -> None:
        """Close the file; later use opens it again."""
        with self._lock:
            self._detach_after_fork()
            self._disconnect()

    def _get(self, connection: sqlite3.Connection, key: bytes) -> bytes | None:
        row = connection.execute("SELECT value, used FROM kept WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        value, used = row
        if not isinstance(value, bytes) or not isinstance(used, int):
            raise sqlite3.DatabaseError("a row has columns of other types")
        now = int(time.time())
        if now - used > ACCESS_NOTE_INTERVAL_SECONDS:
            # Do not wait if another process is writing.
            connection.execute("PRAGMA busy_timeout = 0")
            with suppress(sqlite3.OperationalError):
                connection.execute("UPDATE kept SET used = ? WHERE key = ?", (now, key))
            connection.execute(f"PRAGMA busy_timeout = {int(LOCK_TIMEOUT_SECONDS * 1000)}")
        return value

    def _put(self, connection: sqlite3.Connection, key: bytes, value: bytes) -> None:
        row = (key, int(time.time()), value)
        connection.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", row)
        self._unchecked_bytes += len(value)
        if self._unchecked_bytes > self.max_bytes * CHECK_INTERVAL:
            self._unchecked_bytes = 0
            if _file_bytes(connection) > self.max_bytes * HIGH_WATER:
                self._evict(connection)

    def _evict(self, connection: sqlite3.Connection) -> None:
        """Delete the least recently used values, a tenth of all values at a time."""
        while _file_bytes(connection) > self.max_bytes * LOW_WATER:
            count = connection.execute("SELECT count(*) FROM kept").fetchone()[0]
            oldest = "SELECT rowid FROM kept ORDER BY used, rowid LIMIT ?"
            connection.execute(
                f"DELETE FROM kept WHERE rowid IN ({oldest})",  # noqa: S608
                (count // 10 + 1,),
            )
            # As a script: `execute` frees only one page.
            connection.executescript("PRAGMA incremental_vacuum")
            if count == 0:
                break
        # The checkpoint truncates the file.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _try(self, operation: Callable[[sqlite3.Connection], Result | None]) -> Result | None:
        """Return the result of an operation, or None if the file does not permit it."""
        with self._lock:
            try:
                return operation(self._connect())
            except sqlite3.OperationalError as error:
                # The disk is full, or the file is locked or read-only: it is not damaged.
                self._warn(str(error))
            except sqlite3.DatabaseError as error:
                self._warn(
                    f"the file is damaged ({error}); it is moved aside, and a new one begins"
                )
                self._recreate()
            except OSError as error:
                self._warn(error.strerror or str(error))
        return None

    def _connect(self) -> sqlite3.Connection:
        self._detach_after_fork()
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _open(self.path)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _detach_after_fork(self) -> None:
        if self._process != os.getpid():
            if self._connection is not None:
                _inherited.append(self._connection)
            self._connection, self._process = None, os.getpid()

    def _recreate(self) -> None:
        self._disconnect()
        try:
            with FileLock(f"{self.path}.lock", timeout=LOCK_TIMEOUT_SECONDS):
                # Another process may have recreated the file already.
                if not _is_intact(self.path):
                    # Moved, not deleted: a wrong path may name any file.
                    self.path.replace(f"{self.path}.damaged")
                    for suffix in ("-wal", "-shm"):
                        Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        except (OSError, Timeout) as error:
            self._warn(str(error))

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("cache %s: %s", self.path, message)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        # Before the first table, or it has no effect.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        # Safe if processes are killed; a power failure may lose the last values.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {MAX_WAL_BYTES}")
        connection.execute(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _file_bytes(connection: sqlite3.Connection) -> int:
    size: int = connection.execute(
        "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    ).fetchone()[0]
    return size


def _is_intact(path: Path) -> bool:
    try:
        connection = _open(path)
        try:
            answer: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.OperationalError:
        # For example locked: not damaged.
        return True
    except sqlite3.DatabaseError:
        return False
    return answer == "ok"


def _checksum(key: bytes, value: bytes) -> bytes:
    # With the key, because a damaged index may lead to the value of another key.
    return hashlib.blake2b(value, digest_size=_CHECKSUM_BYTES, key=key[:64]).digest()
