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

from autocog_core.dataset.file_writing import unwritable
from autocog_core.dataset.output_row import read_output_row, to_line
from autocog_core.dataset.run_identity import (
    OVERWRITE_HINT,
    Identity,
    identity_path,
    read_identity,
    require_same,
    write_identity,
)
from autocog_core.dataset.shard import WHOLE, Shard
from autocog_core.errors import InputError
from autocog_core.files import write_atomically

_CONTINUE_HINT = "fix this and repeat the same command: it continues after the last row"


class OutputFile:
    """An output file that is open for writing.

    :ivar rows: number of rows in the file.
    :ivar retryable_rows: the rows whose errors may not occur again, such as those of a server.
    """

    def __init__(
        self, stream: FileIO, shard: Shard, rows: int, retryable_rows: Sequence[int] = ()
    ) -> None:
        self._stream = stream
        self._shard = shard
        self._path = Path(stream.name)
        self.rows = rows
        self.retryable_rows = tuple(retryable_rows)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row. It is in the file when this returns.

        :param row: the row, as plain data.
        :raises InputError: if it cannot be written.
        """
        line = memoryview(to_line(row))
        self._require_in_place()
        try:
            while line:
                line = line[self._stream.write(line) :]
        except OSError as error:
            raise unwritable(self._path, error, _CONTINUE_HINT) from error
        self.rows += 1

    def replace(self, rows: Mapping[int, Mapping[str, Any]]) -> None:
        """Replace some rows: all of them, or none if the process is killed.

        :param rows: the new rows by index.
        :raises InputError: if they cannot be written.
        """
        self._require_in_place()
        try:
            with write_atomically(self._path) as new:
                with self._path.open("rb") as old:
                    for position, line in enumerate(old):
                        index = self._shard.row(position)
                        new.write(to_line(rows[index]) if index in rows else line)
                self._stream.close()
        except OSError as error:
            raise unwritable(self._path, error, _CONTINUE_HINT) from error
        self._stream = _open_for_append(self._path)

    def close(self) -> None:
        """Close the file.

        :raises InputError: if the system could not write all of it.
        """
        try:
            self._stream.close()
        except OSError as error:
            raise unwritable(self._path, error, _CONTINUE_HINT) from error

    def _require_in_place(self) -> None:
        """Rows of a file that was removed or replaced would be lost without a word."""
        try:
            if os.path.samestat(os.fstat(self._stream.fileno()), os.stat(self._path)):
                return
        except OSError:
            # There is no such file: the same error.
            pass
        raise InputError(
            "was removed or replaced during the run",
            where=str(self._path),
            hint="repeat the command, and leave the file in its place",
        )


@contextmanager
def open_output(
    output: Path,
    identity: Identity,
    table: Mapping[str, Any] | None = None,
    shard: Shard = WHOLE,
) -> Iterator[OutputFile]:
    """Open an output file that is new, or that a run with the same identity has written.

    :param output: the file; the caller holds its lock.
    :param identity: the identity of the run.
    :param table: what a table of the rows needs to know.
    :param shard: the rows of the data set that the file has.
    :raises InputError: if another run has written the file, or it is damaged.
    """
    rows = 0
    retryable_rows: list[int] = []
    try:
        if output.exists() and output.stat().st_size > 0:
            require_same(output, read_identity(output), identity)
            rows, size, retryable_rows = _scan_rows(output, shard)
            os.truncate(output, size)
        else:
            write_identity(output, identity, table)
    except OSError as error:
        raise unwritable(output, error) from error
    # Unbuffered: Python must not write the rest of an interrupted line later.
    file = OutputFile(_open_for_append(output), shard, rows, retryable_rows)
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
    """Remove an output file and its identity.

    :raises InputError: if they cannot be removed.
    """
    # In this order: rows without their identity would be refused.
    remove_file(output)
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


def _scan_rows(output: Path, shard: Shard) -> tuple[int, int, list[int]]:
    """Return the number of rows, their size in bytes, and the rows with retryable errors.

    An incomplete last line does not count.
    """
    rows = size = 0
    retryable_rows = []
    with output.open("rb") as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                break
            row = read_output_row(line, shard.row(rows))
            if row is None:
                raise InputError(
                    f"is not row {shard.row(rows)}: the file was changed",
                    where=f"{output}, line {rows + 1}",
                    hint=OVERWRITE_HINT,
                )
            if row["error"] is not None and row["error"].get("retryable"):
                retryable_rows.append(row["row"])
            rows += 1
            size += len(line)
    return rows, size, retryable_rows
