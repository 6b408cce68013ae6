"""Make a table, or another file, from the journal of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autocog_core.dataset.column import Column
from autocog_core.dataset.csv_table import CsvTable
from autocog_core.dataset.file_writing import unwritable
from autocog_core.dataset.journal import Journal
from autocog_core.dataset.output_format import ByteStream, FormatName, OutputFormat
from autocog_core.dataset.output_row import to_line
from autocog_core.dataset.run_identity import identity_path
from autocog_core.dataset.table_columns import (
    TableOptions,
    input_columns,
    require_distinct,
    result_columns,
    with_kinds,
)
from autocog_core.errors import InputError
from autocog_core.files import write_atomically


def export_rows(
    journal: Path,
    output: Path,
    *,
    format_name: FormatName | None = None,
    options: TableOptions | None = None,
) -> int:
    """Write the rows that a journal has at this moment to a file, which is complete or not there.

    An existing file is replaced.

    :param journal: the .jsonl file of a run; the run may go on, or may have been killed.
    :param output: the file; its name says the format.
    :param format_name: "jsonl", "csv", "tsv" or "parquet", whatever the name says.
    :param options: which columns a table has.
    :returns: the number of rows.
    :raises InputError: if the journal cannot be read, or the file cannot be written.
    """
    format_ = OutputFormat.of(output, format_name)
    with Journal(journal) as opened:
        output = _resolve(output, journal)
        # Several exports may run at once.
        suffix = f".{os.getpid()}.part"
        try:
            with (
                write_atomically(output, suffix=suffix) as stream,
                format_.compress(stream) as compressed,
            ):
                return write_rows(opened, compressed, format_, options or TableOptions())
        except OSError as error:
            raise unwritable(output, error) from error


def write_rows(
    journal: Journal, stream: ByteStream, format_: OutputFormat, options: TableOptions
) -> int:
    """Write the rows of a journal to a stream.

    :returns: the number of rows.
    :raises InputError: if the columns of the input and of the results have common names.
    """
    counter = _Counter()
    if not format_.is_table:
        for row in counter.count(journal.rows()):
            stream.write(to_line(row))
        return counter.rows
    columns = table_columns(journal, options)
    if format_.name == "parquet":
        from autocog_core.dataset.parquet_table import write_parquet

        write_parquet(stream, with_kinds(columns, journal.rows()), counter.count(journal.rows()))
    else:
        CsvTable(stream, columns, format_.delimiter).write_all(counter.count(journal.rows()))
    return counter.rows


def table_columns(journal: Journal, options: TableOptions) -> list[Column]:
    """Return the columns of the table of a journal.

    :raises InputError: if the columns of the input and of the results have common names.
    """
    results = result_columns(journal.fields, options, journal.gold_field, journal.marginals)
    names = journal.input_columns()
    require_distinct(names, results, options)
    return [*input_columns(names, options), *results]


class _Counter:
    """Counts rows as they pass."""

    def __init__(self) -> None:
        self.rows = 0

    def count(self, rows: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for row in rows:
            self.rows += 1
            yield row


def _resolve(output: Path, journal: Path) -> Path:
    """Return the file that an output's name stands for.

    :raises InputError: if it is the journal, or the file beside it.
    """
    try:
        if output.is_symlink():
            output = Path(os.path.realpath(output))
        for path in (journal, identity_path(journal)):
            if output.exists() and output.samefile(path):
                hint = "name another output file"
                raise InputError("is the journal itself", where=str(output), hint=hint)
        if output.exists() and not output.is_file():
            raise InputError("is not a file", where=str(output), hint="name a file")
    except OSError as error:
        raise unwritable(output, error) from error
    return output
