"""What is known of the rows of an output file, and the checkpoint that keeps it.

A later run reads the rows after the checkpoint only. So the time that it needs to resume does not
grow with the output.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from autocog_core.dataset.output_row import OutputRow, read_output_row
from autocog_core.dataset.shard import WHOLE, Shard
from autocog_core.dataset.summary import SummaryBuilder
from autocog_core.errors import InputError
from autocog_core.files import read_checked, write_checked

log = logging.getLogger(__name__)

#: Rows between two checkpoints.
CHECKPOINT_ROWS = 1000
FORMAT = 1


@dataclass(slots=True)
class WrittenRows:
    """The rows of an output file, added up one by one.

    :ivar totals: their sums.
    :ivar shard: the rows of the data set that the file has.
    :ivar rows: their number.
    :ivar size: the bytes of their lines.
    :ivar retryable_rows: the rows whose errors may not occur again, such as those of a server.
    :ivar last_line: the last line.
    """

    totals: SummaryBuilder
    shard: Shard = WHOLE
    rows: int = 0
    size: int = 0
    retryable_rows: list[int] = field(default_factory=list)
    last_line: bytes = b""

    @property
    def next_row(self) -> int:
        """The number of the row that comes next."""
        return self.shard.row(self.rows)

    def without_rows(self) -> Self:
        """Return how rows of this file are added up, without any."""
        return type(self)(self.totals.without_rows(), self.shard)

    def add(self, line: bytes, row: Mapping[str, Any]) -> None:
        """Add a row, and its line."""
        self.totals.add(row)
        error = row["error"]
        if error is not None and error.get("retryable"):
            self.retryable_rows.append(row["row"])
        self.rows += 1
        self.size += len(line)
        self.last_line = line

    def read(self, line: bytes) -> OutputRow | None:
        """Return the row of the next line; None if the line is none, or not that of this row."""
        return read_output_row(line, self.next_row)

    def changed(self, output: Path, hint: str) -> InputError:
        """Return the error for a line that is not the next row."""
        message = f"is not row {self.next_row}: the file was changed"
        return InputError(message, where=f"{output}, line {self.rows + 1}", hint=hint)

    def require_size(self, output: Path) -> None:
        """Check that the file has these rows, and nothing else.

        :raises InputError: if another program has written into it.
        """
        size = output.stat().st_size
        if size != self.size:
            raise InputError(
                f"has {size:,} bytes, and its {self.rows:,} rows have {self.size:,}: "
                "the file was changed",
                where=str(output),
            )

    def read_rest(self, output: Path, hint: str) -> None:
        """Add the rows of a file that are not yet added. An incomplete last line does not count.

        :param output: the file.
        :param hint: what to do about a file that was changed.
        :raises InputError: for a line that is none.
        :raises OSError: if the file cannot be read.
        """
        with output.open("rb") as stream:
            stream.seek(self.size)
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                row = self.read(line)
                if row is None:
                    raise self.changed(output, hint)
                self.add(line, row)

    def save(self, output: Path) -> None:
        """Write the checkpoint of an output file.

        :raises OSError: if it cannot be written.
        """
        data = {
            "format": FORMAT,
            "shard": str(self.shard),
            "rows": self.rows,
            "size": self.size,
            "retryable_rows": self.retryable_rows,
            "last_line": _describe(self.last_line),
            "totals": self.totals.to_dict(),
        }
        write_checked(checkpoint_path(output), json.dumps(data).encode())

    @classmethod
    def load(cls, output: Path, shard: Shard) -> Self | None:
        """Return the rows at the checkpoint of an output file.

        :param output: the file.
        :param shard: the rows of the data set that the file has.
        :returns: the rows; None if there is no checkpoint, or the file is not as it was then.
        """
        path = checkpoint_path(output)
        try:
            content = read_checked(path)
            data = None if content is None else json.loads(content)
            if data is None or data["format"] != FORMAT or data["shard"] != str(shard):
                log.debug("%s is damaged, or of another version: it is not used", path)
                return None
            size, (length, digest) = data["size"], data["last_line"]
            last_line = _read_line(output, size - length, length)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.debug("%s cannot be read: %s", path, error)
            return None
        if _describe(last_line) != [length, digest]:
            log.debug("%s belongs to other rows: it is not used", path)
            return None
        return cls(
            totals=SummaryBuilder.from_dict(data["totals"]),
            shard=shard,
            rows=data["rows"],
            size=size,
            retryable_rows=data["retryable_rows"],
            last_line=last_line,
        )


def checkpoint_path(output: Path) -> Path:
    """Return the path of the checkpoint of an output file."""
    return output.with_name(f"{output.name}.checkpoint")


def _describe(line: bytes) -> list[Any]:
    return [len(line), hashlib.sha256(line).hexdigest()]


def _read_line(output: Path, start: int, length: int) -> bytes:
    with output.open("rb") as stream:
        stream.seek(start, os.SEEK_SET)
        return stream.read(length)
