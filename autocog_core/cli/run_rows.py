"""`autocog run` on the rows of a file, to standard output or to a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from autocog_core.cli.run_destination import suggest_export
from autocog_core.cli.run_output import show_summary
from autocog_core.cli.run_progress import RunProgress

if TYPE_CHECKING:
    from autocog_core.dataset import OutputRow, RowSource, RunPlan, Summary
    from autocog_core.dataset.destination import Destination
    from autocog_core.dataset.shard import Shard


def run_to_stdout(
    job: RunPlan,
    source: RowSource,
    limit: int | None,
    shard: Shard,
    max_errors: int | None,
    write: Callable[[OutputRow], None],
) -> Summary:
    """Run a program on rows, and write each result to standard output.

    :param write: writes a row.
    :returns: the summary, which is printed on stderr.
    """
    from autocog_core.dataset import InputFile, SummaryBuilder
    from autocog_core.dataset.file_run import check_errors, measure_progress

    # On a terminal, the lines themselves show the progress.
    with RunProgress(has_bar=not sys.stdout.isatty(), is_resumable=False) as progress:
        builder = SummaryBuilder(job.gold_field, has_marginals=job.has_gold_marginals)
        file = InputFile(source, shard)
        total = file.count_rows(limit)
        meter = job.start_usage_meter()
        for done, row in enumerate(job.output_rows(file.read_rows(0, total)), 1):
            write(row)
            builder.add(row)
            progress.update(measure_progress(builder, done, total))
            if row["error"] is not None:
                check_errors(builder.errors, max_errors, row)
        usage = meter.read()
        summary = replace(builder.summary(), usage=usage)
        file.check_count(summary.rows, total)
        file.check_content()
    show_summary(summary, progress, source=_name_source(shard))
    return summary


def run_to_file(
    job: RunPlan,
    source: RowSource,
    destination: Destination,
    limit: int | None,
    shard: Shard,
    max_errors: int | None,
    overwrite: bool,
) -> Summary:
    """Run a program on rows, and write the results to a file.

    :returns: the summary, which is printed on stderr.
    """
    from autocog_core.dataset import run_file

    progress = RunProgress()
    with suggest_export(destination, progress), progress:
        summary = run_file(
            job,
            source,
            destination.output,
            limit=limit,
            shard=shard,
            overwrite=overwrite,
            max_errors=max_errors,
            format_name=destination.format.name,
            options=destination.options,
            on_progress=progress.update,
        )
    show_summary(summary, progress, source=_name_source(shard))
    return summary


def _name_source(shard: Shard) -> str:
    return "the input" if shard.is_whole else f"shard {shard} of the input"
