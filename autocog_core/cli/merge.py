"""`autocog merge`: the output of one run from those of its shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocog_core.cli.output import show_json
from autocog_core.cli.run_output import check_success, show_summary
from autocog_core.cli.table_options import TableFlags
from autocog_core.errors import UsageError


def merge(
    outputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="OUT",
            help="The outputs of all shards, in any order: .jsonl files, or tables with their "
            "journals beside them.",
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write: .jsonl, .csv, .tsv (each also .gz or .zst) or .parquet.",
        ),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Overwrite the existing output file.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON document.")
    ] = False,
    table: TableFlags,
) -> None:
    """Join the outputs of all shards of a run, made by `autocog run --shard I/N`.

    The result is what one run over all rows would have written, and such a run can continue it.
    """
    from autocog_core.dataset.merge import merge_shards
    from autocog_core.dataset.output_format import STDOUT, OutputFormat

    if output == STDOUT:
        raise UsageError("name a file: a later run may continue it", where="--output")
    options = table.options(OutputFormat.of(output, table.format_name))
    summary = merge_shards(
        outputs, output, format_name=table.format_name, options=options, overwrite=overwrite
    )
    if as_json:
        show_json(summary.to_dict())
    show_summary(summary)
    check_success(summary)
