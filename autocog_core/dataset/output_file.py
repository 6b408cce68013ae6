"""The output file of a run: whole lines, in order, and beside it what they are the output of.

`OUTPUT.run.json` tells what made the rows. It is written before the first of them, so that a run
that was killed at any moment goes on after the last whole line; and one that would not give the
same rows is refused.
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

FORMAT = 1
_HINT = "give another output, or begin anew with --overwrite"

#: What makes a run's rows: by name, a value for JSON.
Identity = Mapping[str, Any]


class Journal:
    """An output file that is being written.

    :ivar rows: how many there are. `passing`: those among them that ended in an error which may
        pass, of a server for example.
    """

    def __init__(self, stream: FileIO, rows: int, passing: Sequence[int] = ()) -> None:
        self._stream = stream
        self.rows = rows
        self.passing = tuple(passing)

    def write(self, record: Mapping[str, Any]) -> None:
        """Add a row; it is in the file when this returns.

        :raises InputError: if the disk takes no more.
        """
        line = memoryview(to_line(record))
        try:
            while line:
                line = line[self._stream.write(line) :]
        except OSError as error:
            raise InputError(
                f"cannot be written: {error.strerror}",
                where=str(self._stream.name),
                hint="mend that and run the same command: it goes on from here",
            ) from error
        self.rows += 1

    def replace(self, records: Mapping[int, Mapping[str, Any]]) -> None:
        """Put other rows in the place of some; wherever it is killed, either all are or none is.

        :raises InputError: if they cannot be written.
        """
        output = Path(self._stream.name)
        part = output.with_name(f"{output.name}.part")
        try:
            with output.open("rb") as old, part.open("wb") as new:
                for number, line in enumerate(old):
                    new.write(to_line(records[number]) if number in records else line)
            self._stream.close()
            part.replace(output)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", where=str(output)) from error
        self._stream = _appending(output)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


@contextmanager
def open_journal(output: Path, identity: Identity) -> Iterator[Journal]:
    """Open an output file to go on with, or to begin. Hold its lock while doing so.

    :raises InputError: if something else made the rows that it has, or they are damaged.
    """
    beside = identity_file(output)
    rows = 0
    passing: list[int] = []
    if output.exists() and output.stat().st_size > 0:
        _require_same(output, _saved(output, beside), identity)
        rows, size, passing = _whole_rows(output)
        os.truncate(output, size)
    else:
        write_whole(beside, json.dumps({"format": FORMAT, **identity}, indent=2) + "\n")
    # Unbuffered: a line that is interrupted is not written later, at a moment of its own.
    with closing(Journal(_appending(output), rows, passing)) as written:
        yield written


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Keep other runs from an output file; the system unlocks it if the process is killed.

    :raises InputError: if another run is writing it, or nothing can be written there.
    """
    if output.exists() and not output.is_file():
        raise InputError("is no file", where=str(output), hint="name one, or a new one")
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
        raise InputError(f"cannot be written: {error.strerror}", where=str(output)) from error
    try:
        yield
    finally:
        lock.release()


def forget(output: Path) -> None:
    """Remove the rows and what made them."""
    # In this order: rows without their identity would have to be refused.
    output.unlink(missing_ok=True)
    identity_file(output).unlink(missing_ok=True)


def identity_file(output: Path) -> Path:
    """Where the identity of an output file's rows is kept."""
    return output.with_name(f"{output.name}.run.json")


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all, wherever the process is killed.

    :raises InputError: if it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(text.encode("utf-8", errors="backslashreplace"))
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from error


def _appending(output: Path) -> FileIO:
    try:
        return output.open("ab", buffering=0)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(output)) from error


def _saved(output: Path, beside: Path) -> dict[str, Any]:
    try:
        found = json.loads(beside.read_bytes())
    except FileNotFoundError:
        what = f"it is there already, and no {beside.name} beside it says what made it"
        raise InputError(what, where=str(output), hint=_HINT) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=str(beside), hint=_HINT) from error
    if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
        raise InputError("is of another format", where=str(beside), hint=_HINT)
    return found


def _require_same(output: Path, saved: Identity, identity: Identity) -> None:
    differing = [
        f"another {name} ({_difference(saved.get(name), identity[name])})"
        for name in identity
        if saved.get(name) != identity[name]
    ]
    if differing:
        raise InputError(
            "its rows were made with " + " and ".join(differing), where=str(output), hint=_HINT
        )


def _difference(before: Any, now: Any) -> str:
    """What was and what is, of a table only the values that differ."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        return ", ".join(f"{name} {_difference(before.get(name), now.get(name))}" for name in names)
    return f"was {_shown(before)}, is {_shown(now)}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(each) for each in value.values())
    text = "none" if value is None else str(value)
    # The beginning of a digest tells it from others.
    return f"{text[:12]}..." if len(text) == 64 else text


def _whole_rows(output: Path) -> tuple[int, int, list[int]]:
    """How many rows stand in the file, how many bytes they take, and which may do better again.

    A torn last line is no row.
    """
    rows = size = 0
    passing = []
    with output.open("rb") as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                break
            row = _row(line)
            if row.get("row") != rows:
                raise InputError(
                    f"is not row {rows}: the file was changed",
                    where=f"{output}, line {rows + 1}",
                    hint=_HINT,
                )
            error = row.get("error")
            if isinstance(error, dict) and error.get("retryable"):
                passing.append(rows)
            rows += 1
            size += len(line)
    return rows, size, passing


def _row(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
