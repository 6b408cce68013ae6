"""The output file of a run: complete lines in order, and a file beside it that says how they arose.

The identity of the run is written before the first row. A later run with the same identity
continues after the last complete line; any other run is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from autocog_core.dataset import written_rows
from autocog_core.dataset.file_writing import unwritable
from autocog_core.dataset.output_row import to_line
from autocog_core.dataset.run_identity import (
    OVERWRITE_HINT,
    Identity,
    identity_path,
    read_identity,
    require_same,
    write_identity,
)
from autocog_core.dataset.summary import Summary, SummaryBuilder
from autocog_core.dataset.written_rows import WrittenRows, checkpoint_path
from autocog_core.errors import InputError
from autocog_core.files import write_atomically

_CONTINUE_HINT = "fix this and repeat the same command: it continues after the last row"


class OutputFile:
    """An output file that is open for writing.

    :param stream: the file, open at its end.
    :param written: its rows.
    :ivar path: the file.
    """

    def __init__(self, stream: FileIO, written: WrittenRows) -> None:
        self._stream = stream
        self.path = Path(stream.name)
        self._written = written

    @property
    def rows(self) -> int:
        """Number of rows in the file."""
        return self._written.rows

    @property
    def retryable_rows(self) -> Sequence[int]:
        """The rows whose errors may not occur again, such as those of a server."""
        return self._written.retryable_rows

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row. It is in the file when this returns.

        :param row: the row, as plain data.
        :raises InputError: if it cannot be written.
        """
        line = to_line(row)
        rest = memoryview(line)
        self._require_in_place()
        try:
            while rest:
                rest = rest[self._stream.write(rest) :]
            self._written.add(line, row)
            if self.rows % written_rows.CHECKPOINT_ROWS == 0:
                self._written.save(self.path)
        except OSError as error:
            raise unwritable(self.path, error, _CONTINUE_HINT) from error

    def replace(self, rows: Mapping[int, Mapping[str, Any]]) -> None:
        """Replace some rows: all of them, or none if the process is killed.

        :param rows: the new rows by index.
        :raises InputError: if they cannot be written.
        """
        self._require_in_place()
        written = self._written.without_rows()
        # Its sums are those of the old rows.
        remove_file(checkpoint_path(self.path))
        try:
            with write_atomically(self.path) as new:
                with self.path.open("rb") as old:
                    for line in old:
                        row = rows.get(written.next_row) or written.read(line)
                        if row is None:
                            raise written.changed(self.path, _CONTINUE_HINT)
                        if written.next_row in rows:
                            line = to_line(row)
                        new.write(line)
                        written.add(line, row)
                self._stream.close()
            if written.rows >= written_rows.CHECKPOINT_ROWS:
                written.save(self.path)
        except OSError as error:
            raise unwritable(self.path, error, _CONTINUE_HINT) from error
        self._written = written
        self._stream = _open_for_append(self.path)

    def summary(self) -> Summary:
        """Return the totals of all rows.

        :raises InputError: if another program has changed the file.
        """
        self._require_in_place()
        self._written.require_size(self.path)
        return self._written.totals.summary()

    def close(self) -> None:
        """Close the file.

        :raises InputError: if the system could not write all of it.
        """
        try:
            self._stream.close()
        except OSError as error:
            raise unwritable(self.path, error, _CONTINUE_HINT) from error

    def _require_in_place(self) -> None:
        """Rows of a file that was removed or replaced would be lost without a word."""
        try:
            if os.path.samestat(os.fstat(self._stream.fileno()), os.stat(self.path)):
                return
        except OSError:
            # There is no such file: the same error.
            pass
        raise InputError(
            "was removed or replaced during the run",
            where=str(self.path),
            hint="repeat the command, and leave the file in its place",
        )


@contextmanager
def open_output(
    output: Path,
    identity: Identity,
    table: Mapping[str, Any] | None = None,
    rows: WrittenRows | None = None,
) -> Iterator[OutputFile]:
    """Open an output file that is new, or that a run with the same identity has written.

    :param output: the file; the caller holds its lock.
    :param identity: the identity of the run.
    :param table: what a table of the rows needs to know.
    :param rows: the rows of a new file, none: their shard, and how they are added up.
    :raises InputError: if another run has written the file, or it is damaged.
    """
    written = rows or WrittenRows(SummaryBuilder())
    try:
        if output.exists() and output.stat().st_size > 0:
            require_same(output, read_identity(output), identity)
            written = WrittenRows.load(output, written.shard) or written
            written.read_rest(output, OVERWRITE_HINT)
            os.truncate(output, written.size)
        else:
            remove_file(checkpoint_path(output))
            write_identity(output, identity, table)
    except OSError as error:
        raise unwritable(output, error) from error
    # Unbuffered: Python must not write the rest of an interrupted line later.
    file = OutputFile(_open_for_append(output), written)
    try:
        yield file
    finally:
        file.close()


def resolve_output(output: Path, source: Path) -> Path:
    """Return the file that an output's name stands for, so that it has one lock.

    :param output: the name; a symbolic link stands for its target.
    :param source: the input file.
    :raises InputError: if it is the input file, has several names, or cannot be a file.
    """
    try:
        if output.is_symlink():
            output = Path(os.path.realpath(output))
        exists = output.exists()
        if exists and source.exists() and output.samefile(source):
            hint = "name another output file"
            raise InputError("is the input file", where=str(output), hint=hint)
        if exists and not output.is_file():
            raise InputError("is not a file", where=str(output), hint="name a file")
        if not output.parent.is_dir():
            raise InputError("there is no such folder", where=str(output.parent))
        if exists and output.stat().st_nlink > 1:
            raise InputError(
                "has a second name (a hard link), under which another run may write it",
                where=str(output),
                hint="copy it to a file with one name",
            )
    except OSError as error:
        raise unwritable(output, error) from error
    return output


@contextmanager
def lock_output(output: Path) -> Iterator[None]:
    """Lock an output file. The system unlocks it if the process is killed.

    :param output: the file, as `resolve_output` returns it. It may not exist yet.
    :raises InputError: if another run holds the lock, or nothing can be written there.
    """
    lock = FileLock(f"{output}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            "another run is writing it", where=str(output), hint="wait until it has ended"
        ) from error
    except NotImplementedError as error:
        raise InputError(
            "its disk has no locks", where=str(output), hint="write to a local disk"
        ) from error
    except OSError as error:
        raise unwritable(output, error) from error
    try:
        yield
    finally:
        lock.release()


def remove_output(output: Path) -> None:
    """Remove an output file, its checkpoint and its identity.

    :raises InputError: if they cannot be removed.
    """
    # In this order: rows without their identity would be refused.
    remove_file(output)
    remove_file(checkpoint_path(output))
    remove_file(identity_path(output))


def remove_file(path: Path) -> None:
    """Remove a file, if it is there.

    :raises InputError: if it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def made_trees_in(output: Path, folder: Path) -> bool:
    """Return whether the run that made an output file wrote its trees into a folder."""
    try:
        return bool(read_identity(output).get("folder of trees") == str(folder))
    except InputError:
        return False


def _open_for_append(output: Path) -> FileIO:
    try:
        return output.open("ab", buffering=0)
    except OSError as error:
        raise unwritable(output, error) from error
