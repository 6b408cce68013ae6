"""An input file during a run: what is read is what the run's identity promises."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autocog_core.dataset.input_rows import Row, count_rows, read_rows
from autocog_core.dataset.row_format import open_file, unreadable
from autocog_core.errors import InputError

#: What the file system knows about a file: device, number, size, and times of change.
_State = tuple[int, ...]


class InputFile:
    """An input file that must not change while a run reads it.

    :param path: a .jsonl, .csv or .parquet file.
    :raises InputError: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = self._read_state()
        self._digest = self._read_digest()
        self.check()

    def identity(self) -> dict[str, Any]:
        """Return what identifies the content of the file."""
        return {
            "format": self.path.suffix.lower(),
            "size": self._state[2],
            "sha256": self._digest,
        }

    def count_rows(self, limit: int | None = None) -> int:
        """Count the rows, at most `limit`."""
        return count_rows(self.path, limit)

    def read_rows(self, start: int = 0, limit: int | None = None) -> Iterator[Row]:
        """Yield the rows.

        :param start: index of the first row.
        :param limit: index after the last row; None for all rows.
        :raises InputError: before a row that was read after the file changed.
        """
        for row in read_rows(self.path, start, limit):
            self.check()
            yield row

    def check(self) -> None:
        """Check that nobody has touched the file, or else that its content is the same.

        :raises InputError: if the file has changed.
        """
        state = self._read_state()
        if state == self._state:
            return
        if state[2] != self._state[2]:
            raise self._changed()
        self.check_content()
        self._state = state

    def check_content(self) -> None:
        """Check the content itself: two changes within a tick of the clock look like none.

        :raises InputError: if the content has changed.
        """
        if self._read_digest() != self._digest:
            raise self._changed()

    def check_count(self, rows: int, promised: int) -> None:
        """Check that the file gave as many rows as it has.

        :raises InputError: if it gave fewer.
        """
        if rows != promised:
            raise InputError(
                f"gave {rows:,} rows instead of {promised:,}",
                where=str(self.path),
                hint="the file is damaged, or was changed during the run",
            )

    def _read_state(self) -> _State:
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise unreadable(self.path, error) from error
        return (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )

    def _read_digest(self) -> str:
        with open_file(self.path) as stream:
            try:
                return hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise unreadable(self.path, error) from error

    def _changed(self) -> InputError:
        return InputError(
            "was changed while the run read it",
            where=str(self.path),
            hint="restore the file and repeat the command, or start again with the new one",
        )
