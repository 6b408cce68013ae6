"""An input file during a run: what is read is what the run's identity promises."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autocog_core.dataset.input_rows import Row, count_rows, read_rows
from autocog_core.dataset.row_format import open_file, unreadable
from autocog_core.dataset.row_source import RowSource
from autocog_core.dataset.run_identity import SHARD_KEY
from autocog_core.dataset.shard import WHOLE, Shard
from autocog_core.errors import InputError

#: What the file system knows about each file: device, number, size, and times of change.
_State = list[tuple[int, ...]]
_CHUNK_BYTES = 2**18


class InputFile:
    """An input file that must not change while a run reads it, or a shard of it.

    Rows are counted by their positions among those of the shard; their indices are those in the
    file.

    :param source: a file, or a folder that `datasets` saved.
    :param shard: the rows that are read.
    :raises InputError: if it cannot be read.
    """

    def __init__(self, source: Path | RowSource, shard: Shard = WHOLE) -> None:
        self.source = RowSource.of(source)
        self.shard = shard
        self._files = self.source.files()
        self._state = self._read_state()
        self._size, self._digest = self._read_content()
        self.check()

    def identity(self) -> dict[str, Any]:
        """Return what identifies the content of the file, however it is compressed."""
        identity = {"format": self.source.format, "size": self._size, "sha256": self._digest}
        return identity if self.shard.is_whole else {**identity, SHARD_KEY: str(self.shard)}

    def count_rows(self, limit: int | None = None) -> int:
        """Count the rows among the first `limit` of the file."""
        return self.shard.size(count_rows(self.source, limit))

    def read_rows(self, start: int = 0, limit: int | None = None) -> Iterator[Row]:
        """Yield the rows.

        :param start: position of the first row.
        :param limit: position after the last row; None for all rows.
        :raises InputError: before a row that was read after the file changed.
        """
        first, end = self.shard.row(start), None if limit is None else self.shard.row(limit)
        try:
            for row in read_rows(self.source, first, end, self.shard.count):
                self.check()
                yield row
        except InputError:
            # That it changed explains what cannot be read.
            self.check()
            raise

    def check(self) -> None:
        """Check that nobody has touched the file, or else that its content is the same.

        :raises InputError: if the file has changed.
        """
        state = self._read_state()
        if state == self._state:
            return
        self.check_content()
        self._state = state

    def check_content(self) -> None:
        """Check the content itself: two changes within a tick of the clock look like none.

        :raises InputError: if the content has changed.
        """
        try:
            content = self._read_content()
        except InputError as error:
            # A compressed file that was cut off, for example.
            raise self._changed() from error
        if content != (self._size, self._digest):
            raise self._changed()

    def check_count(self, rows: int, promised: int) -> None:
        """Check that the file gave as many rows as it has.

        :raises InputError: if it gave fewer.
        """
        if rows != promised:
            raise InputError(
                f"gave {rows:,} rows instead of {promised:,}",
                where=self.source.name,
                hint="the file is damaged, or was changed during the run",
            )

    def _read_state(self) -> _State:
        try:
            statuses = [os.stat(path) for path in self._files]
        except OSError as error:
            raise unreadable(self.source, error) from error
        return [
            (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            for status in statuses
        ]

    def _read_content(self) -> tuple[int, str]:
        """Return the number of bytes after decompression, and their SHA-256."""
        size, digest = 0, hashlib.sha256()
        for path in self._files:
            with open_file(self.source, path) as stream:
                try:
                    while chunk := stream.read(_CHUNK_BYTES):
                        digest.update(chunk)
                        size += len(chunk)
                except OSError as error:
                    raise unreadable(self.source, error) from error
        return size, digest.hexdigest()

    def _changed(self) -> InputError:
        return InputError(
            "was changed while the run read it",
            where=self.source.name,
            hint="restore the file and repeat the command, or start again with the new one",
        )
