"""`autocog export`: a table, or another file, from the rows of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocog_core.cli.output import StdoutBytes
from autocog_core.cli.session import session
from autocog_core.cli.table_options import TableFlags


def export(
    journal: Annotated[
        Path,
        typer.Argument(
            metavar="JOURNAL",
            help="The rows of a run: OUTPUT.rows.jsonl, or the .jsonl output itself.",
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write: .jsonl, .csv, .tsv (each also .gz or .zst) or .parquet; - is "
            "stdout. An existing file is replaced.",
        ),
    ],
    table: TableFlags,
) -> None:
    """Write the rows of a run as a table.

    The run may be finished, interrupted, or still going on: the table has the rows that are done.
    """
    from autocog_core.dataset.export import export_rows, write_rows
    from autocog_core.dataset.journal import Journal
    from autocog_core.dataset.output_format import STDOUT, OutputFormat

    format_ = OutputFormat.of(output, table.format_name)
    options = table.options(format_)
    if output == STDOUT:
        with Journal(journal) as opened:
            write_rows(opened, StdoutBytes(), format_, options)
        return
    rows = export_rows(journal, output, format_name=table.format_name, options=options)
    session.info(f"{output}: {rows:,} row{'' if rows == 1 else 's'}")
