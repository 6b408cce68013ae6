"""The format of an output file, which its name says."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from autocog_core.errors import InputError

FormatName = Literal["jsonl", "csv", "tsv", "parquet"]
FORMAT_NAMES: tuple[FormatName, ...] = ("jsonl", "csv", "tsv", "parquet")
#: In Python from 3.14 on.
_ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
_COMPRESSIONS = (".gz", ".zst")
#: The output that is standard output.
STDOUT = Path("-")
#: What the name of a file with the rows of a table adds to the table's name.
#: What follows the name of a table in the name of its journal.
JOURNAL_SUFFIX = ".rows.jsonl"


class ByteStream(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes, /) -> Any:
        """Write all of the bytes."""


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """How an output file is written.

    :ivar name: "jsonl" has nested rows; "csv", "tsv" and "parquet" are tables.
    :ivar compression: ".gz", ".zst", or "" for none.
    """

    name: FormatName
    compression: str = ""

    @property
    def is_table(self) -> bool:
        """Whether it has columns instead of nested rows."""
        return self.name != "jsonl"

    @property
    def delimiter(self) -> str:
        """What separates the cells of a table that is text."""
        return "\t" if self.name == "tsv" else ","

    @property
    def is_journal(self) -> bool:
        """Whether a run can append to the file itself, row by row."""
        return self == OutputFormat("jsonl")

    @classmethod
    def of(cls, output: Path, name: FormatName | None = None) -> OutputFormat:
        """Return the format of an output, whose libraries are installed.

        :param output: the file; `-` is standard output, as .jsonl.
        :param name: the format, whatever the name of the file says.
        :raises InputError: if autocog cannot write such files.
        """
        suffixes = [suffix.lower() for suffix in output.suffixes]
        compression = suffixes.pop() if suffixes and suffixes[-1] in _COMPRESSIONS else ""
        suffix = suffixes[-1] if suffixes else ""
        if name is None:
            name = next((known for known in FORMAT_NAMES if suffix == f".{known}"), None)
        if name is None and output == STDOUT:
            name = "jsonl"
        if name is None:
            raise InputError(
                f'cannot write "{suffix}" files' if suffix else "the name has no suffix",
                where=str(output),
                hint="use one of " + ", ".join(f".{known}" for known in FORMAT_NAMES)
                + ", of which all but .parquet may be followed by .gz or .zst",
            )  # fmt: skip
        format_ = cls(name, compression)
        format_.require_usable(output)
        return format_

    def require_usable(self, output: Path) -> None:
        """Check that the format can be written here.

        :param output: the file; `-` is standard output.
        :raises InputError: naming what is wrong, or the package that is not installed.
        """
        where = str(output)
        if self.name == "parquet":
            if output == STDOUT:
                message = "cannot be .parquet"
                raise InputError(message, where="stdout", hint="name a file with -o")
            if self.compression:
                hint = f'leave out "{self.compression}"'
                raise InputError(".parquet files are compressed inside", where=where, hint=hint)
            _require("pyarrow", "writing .parquet files needs pyarrow", where, "parquet")
        if self.compression == ".zst":
            _require(_ZSTD, "writing .zst files needs backports.zstd", where, "zstd")

    @contextmanager
    def compress(self, stream: IO[bytes]) -> Iterator[ByteStream]:
        """Open a stream that writes compressed bytes to another one."""
        if self.compression == ".gz":
            # Without name and time: equal rows give equal bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as compressed:
                yield compressed
        elif self.compression == ".zst":
            with import_module(_ZSTD).ZstdFile(stream, "wb") as compressed:
                yield compressed
        else:
            yield stream


def journal_path(output: Path, format_: OutputFormat) -> Path:
    """Return the file to which a run appends each row: the output itself, or a file beside it."""
    return output if format_.is_journal else output.with_name(output.name + JOURNAL_SUFFIX)


def _require(module: str, message: str, where: str, extra: str) -> None:
    try:
        is_installed = find_spec(module) is not None
    except ModuleNotFoundError:
        # The package around it.
        is_installed = False
    if not is_installed:
        hint = f'pip install "autocog-core[{extra}]"'
        raise InputError(message, where=where, hint=hint)
