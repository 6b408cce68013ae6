"""The journal of a run: its output rows in order, and the file beside it that says how they arose.

A journal can be read at any time: while a run appends to it, and after the run was killed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from autocog_core.dataset.output_format import JOURNAL_SUFFIX
from autocog_core.dataset.output_row import OutputRow, read_output_row
from autocog_core.dataset.run_identity import ROWS_KEY, identity_path, read_identity, read_shard
from autocog_core.dataset.table_fields import TableField
from autocog_core.errors import InputError

_HINT = "name the .jsonl file of a run of `autocog run`"
_BLOCK_BYTES = 1 << 16


class Journal:
    """The whole rows that a journal has at this moment. Later rows do not count.

    :param path: the journal.
    :ivar fields: the fields of its program.
    :ivar columns: the columns of its input; None if each row has its own.
    :ivar gold_field: the field that was compared with right answers; None for no comparison.
    :ivar marginals: the fields whose marginals the rows have.
    :ivar shard: the rows of the data set that it has.
    :ivar identity: how the rows arose (`OUTPUT.run.json`).
    :raises InputError: if it cannot be read, or no run has written it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # Open all the time: a run may replace the file.
            self._stream = path.open("rb")
            self._size = _whole_lines(self._stream)
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            raise InputError(message, where=str(path), hint=_HINT) from error
        try:
            if not identity_path(path).exists():
                raise InputError("is not the journal of a run", where=str(path), hint=_hint(path))
            identity = self.identity = read_identity(path, _HINT)
            self.fields, self.columns, self.gold_field = _read_layout(path, identity)
            self.marginals = _read_marginals(path, identity)
            self.shard = read_shard(path, identity)
        except InputError:
            self._stream.close()
            raise

    @property
    def planned_rows(self) -> int:
        """How many rows it has at the end of its last run; 0 if that is not known."""
        rows = self.identity.get(ROWS_KEY)
        return rows if type(rows) is int else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the rows."""
        self._stream.seek(0)
        left = self._size
        for line in self._stream:
            left -= len(line)
            if left < 0:
                return
            yield line

    def rows(self) -> Iterator[OutputRow]:
        """Yield the rows.

        :raises InputError: for a line that is none.
        """
        for _, row in self._read():
            yield row

    def checked_lines(self) -> Iterator[bytes]:
        """Yield the lines of the rows.

        :raises InputError: for a line that is none.
        """
        for line, _ in self._read():
            yield line

    def _read(self) -> Iterator[tuple[bytes, OutputRow]]:
        for position, line in enumerate(self.lines()):
            index = self.shard.row(position)
            row = read_output_row(line, index)
            if row is None:
                where = f"{self.path}, line {position + 1}"
                raise InputError(f"is not row {index}: the file was changed", where=where)
            yield line, row

    def input_columns(self) -> list[str]:
        """Return the columns of the input, also those that only some rows have."""
        columns = dict.fromkeys(self.columns or ())
        for row in self.rows() if self.columns is None else ():
            columns.update(dict.fromkeys(row.get("input") or ()))
        return list(columns)


def _hint(path: Path) -> str:
    """Return which file to name instead: the journal of a table lies beside it."""
    journal = path.with_name(path.name + JOURNAL_SUFFIX)
    return f"name {journal.name}" if journal.exists() else _HINT


def _whole_lines(stream: BinaryIO) -> int:
    """Return how many bytes the whole lines of a file have."""
    end = stream.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        stream.seek(start)
        newline = stream.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _read_marginals(path: Path, identity: Mapping[str, Any]) -> tuple[str, ...]:
    names = identity.get("marginals") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        message = "does not describe a table"
        raise InputError(message, where=f"{path}.run.json", hint=_HINT)
    return tuple(names)


def _read_layout(
    path: Path, identity: Mapping[str, Any]
) -> tuple[tuple[TableField, ...], list[str] | None, str | None]:
    try:
        table, gold = identity["table"], identity["gold"]
        fields = tuple(TableField.from_dict(field) for field in table["fields"])
        columns = table["columns"]
        if columns is not None and not all(isinstance(name, str) for name in columns):
            raise ValueError
        return fields, columns, None if gold is None else str(gold["field"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        where = f"{path}.run.json"
        raise InputError("does not describe a table", where=where, hint=_HINT) from error
