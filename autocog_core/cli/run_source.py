"""The options of `autocog run` that name a file with rows; standard input is such a file."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autocog_core.errors import InputError

if TYPE_CHECKING:
    from autocog_core.dataset import RowSource
    from autocog_core.dataset.row_source import Format

#: Bytes that show the format of standard input.
_START_BYTES = 2**16


class InputFormat(StrEnum):
    """The formats of files with rows."""

    CSV = "csv"
    TSV = "tsv"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """The options that name the rows of a command.

    :ivar source: a file, a folder, or - for standard input; None for no rows.
    :ivar input_format: the format; None for the one that the name, or else the content shows.
    """

    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE",
            help="Run on every row of this file: .csv, .tsv, .json, .jsonl or .parquet, each also "
            ".gz or .zst; a folder saved by `datasets`; - for standard input.",
        ),
    ] = None
    input_format: Annotated[
        InputFormat | None,
        typer.Option(
            help="Format of --input (default: by its suffix; of standard input, by its content)."
        ),
    ] = None

    @property
    def is_stdin(self) -> bool:
        """Whether the rows come from standard input."""
        return str(self.source) == "-"

    @contextmanager
    def open(self) -> Iterator[RowSource]:
        """Return where the rows are. Standard input is in a temporary file during the block.

        :raises InputError: if the format is unknown.
        """
        from autocog_core.dataset import RowSource

        assert self.source is not None
        format_: Format | None = None if self.input_format is None else self.input_format.value
        if not self.is_stdin:
            yield RowSource.of(self.source, format_)
            return
        with tempfile.TemporaryDirectory(prefix="autocog-") as folder:
            yield _save_stdin(Path(folder) / "stdin", self.input_format)


def _save_stdin(path: Path, format_: InputFormat | None) -> RowSource:
    """Write standard input into a file: a run reads its rows several times."""
    from autocog_core.dataset import RowSource
    from autocog_core.dataset.row_format import open_file
    from autocog_core.dataset.row_source import guess_compression, guess_format

    try:
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        with path.open("rb") as file:
            compression = guess_compression(file.read(4))
    except OSError as error:
        message = f"cannot be kept in {path}: {error.strerror or error}"
        hint = "set TMPDIR to a folder with enough space"
        raise InputError(message, where="stdin", hint=hint) from error
    if format_ is None:
        unknown = RowSource(path=path, name="stdin", format="jsonl", compression=compression)
        with open_file(unknown) as stream:
            guessed = guess_format(stream.read(_START_BYTES))
    else:
        guessed = format_.value
    return RowSource(path=path, name="stdin", format=guessed, compression=compression)
