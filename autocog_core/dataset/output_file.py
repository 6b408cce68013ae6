"""The output file of a run: complete lines in order, and a file beside it that says how they arose.

`OUTPUT.run.json` holds the identity of the run. It is written before the first row. A later run
with the same identity continues after the last complete line; any other run is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from autocog_core.dataset.output_row import to_line
from autocog_core.errors import InputError
from autocog_core.files import write_atomically

FORMAT = 1
_HINT = "name another output file, or replace this one with --overwrite"

#: Everything that determines a run's rows, as JSON values by name.
Identity = Mapping[str, Any]


class OutputFile:
    """An output file that is open for writing.

    :ivar rows: number of rows in the file.
    :ivar retryable_rows: the rows whose errors may not occur again, such as those of a server.
    """

    def __init__(self, stream: FileIO, rows: int, retryable_rows: Sequence[int] = ()) -> None:
        self._stream = stream
        self.rows = rows
        self.retryable_rows = tuple(retryable_rows)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row. It is in the file when this returns.

        :param row: the row, as plain data.
        :raises InputError: if it cannot be written.
        """
        line = memoryview(to_line(row))
        try:
            while line:
                line = line[self._stream.write(line) :]
        except OSError as error:
            raise InputError(
                f"cannot be written: {error.strerror}",
                where=str(self._stream.name),
                hint="fix this and repeat the same command: it continues after the last row",
            ) from error
        self.rows += 1

    def replace(self, rows: Mapping[int, Mapping[str, Any]]) -> None:
        """Replace some rows: all of them, or none if the process is killed.

        :param rows: the new rows by index.
        :raises InputError: if they cannot be written.
        """
        output = Path(self._stream.name)
        try:
            with write_atomically(output) as new:
                with output.open("rb") as old:
                    for index, line in enumerate(old):
                        new.write(to_line(rows[index]) if index in rows else line)
                self._stream.close()
        except OSError as error:
            raise _unwritable(output, error) from error
        self._stream = _open_for_append(output)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


@contextmanager
def open_output(output: Path, identity: Identity) -> Iterator[OutputFile]:
    """Open an output file that is new, or that a run with the same identity has written.

    :param output: the file; the caller holds its lock.
    :param identity: the identity of the run.
    :raises InputError: if another run has written the file, or it is damaged.
    """
    rows = 0
    retryable_rows: list[int] = []
    if output.exists() and output.stat().st_size > 0:
        _require_same(output, _read_identity(output), identity)
        rows, size, retryable_rows = _scan_rows(output)
        os.truncate(output, size)
    else:
        text = json.dumps({"format": FORMAT, **identity}, indent=2) + "\n"
        write_file(identity_path(output), text)
    # Unbuffered: Python must not write the rest of an interrupted line later.
    with closing(OutputFile(_open_for_append(output), rows, retryable_rows)) as file:
        yield file


@contextmanager
def lock_output(output: Path) -> Iterator[None]:
    """Lock an output file. The system unlocks it if the process is killed.

    :param output: the file, which may not exist yet.
    :raises InputError: if another run holds the lock, or nothing can be written there.
    """
    if output.exists() and not output.is_file():
        raise InputError("is not a file", where=str(output), hint="name a file")
    if not output.parent.is_dir():
        raise InputError("there is no such folder", where=str(output.parent))
    lock = FileLock(f"{output}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            "another run is writing it", where=str(output), hint="wait until it has ended"
        ) from error
    except OSError as error:
        raise _unwritable(output, error) from error
    try:
        yield
    finally:
        lock.release()


def remove_output(output: Path) -> None:
    """Remove an output file and its identity."""
    # In this order: rows without their identity would be refused.
    output.unlink(missing_ok=True)
    identity_path(output).unlink(missing_ok=True)


def identity_path(output: Path) -> Path:
    """Return the path of the file with the identity of an output file."""
    return output.with_name(f"{output.name}.run.json")


def write_file(path: Path, text: str) -> None:
    """Write a text file that is complete or missing, even if the process is killed.

    :raises InputError: if it cannot be written.
    """
    try:
        with write_atomically(path) as stream:
            stream.write(text.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise _unwritable(path, error) from error


def _open_for_append(output: Path) -> FileIO:
    try:
        return output.open("ab", buffering=0)
    except OSError as error:
        raise _unwritable(output, error) from error


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot be written: {error.strerror}", where=str(path))


def _read_identity(output: Path) -> dict[str, Any]:
    path = identity_path(output)
    try:
        identity = json.loads(path.read_bytes())
    except FileNotFoundError:
        message = f"exists already, and {path.name}, which says how it was made, does not"
        raise InputError(message, where=str(output), hint=_HINT) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path), hint=_HINT) from error
    if not isinstance(identity, dict) or identity.pop("format", None) != FORMAT:
        raise InputError("has another format", where=str(path), hint=_HINT)
    return identity


def _require_same(output: Path, before: Identity, now: Identity) -> None:
    differences = [
        f"another {name} ({_describe_change(before.get(name), now[name])})"
        for name in now
        if before.get(name) != now[name]
    ]
    if differences:
        raise InputError(
            "its rows were made with " + " and ".join(differences), where=str(output), hint=_HINT
        )


def _describe_change(before: Any, now: Any) -> str:
    """Show both values; of mappings, only the entries that differ."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        changes = [f"{name} {_describe_change(before.get(name), now.get(name))}" for name in names]
        return ", ".join(changes)
    return f"was {_to_text(before)}, is {_to_text(now)}"


def _to_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(map(str, value.values()))
    text = "none" if value is None else str(value)
    # The first characters of a digest are enough.
    return f"{text[:12]}..." if len(text) == 64 else text


def _scan_rows(output: Path) -> tuple[int, int, list[int]]:
    """Return the number of rows, their size in bytes, and the rows with retryable errors.

    An incomplete last line does not count.
    """
    rows = size = 0
    retryable_rows = []
    with output.open("rb") as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                break
            row = _parse_row(line)
            if row.get("row") != rows:
                raise InputError(
                    f"is not row {rows}: the file was changed",
                    where=f"{output}, line {rows + 1}",
                    hint=_HINT,
                )
            error = row.get("error")
            if isinstance(error, dict) and error.get("retryable"):
                retryable_rows.append(rows)
            rows += 1
            size += len(line)
    return rows, size, retryable_rows


def _parse_row(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}
