"""Run an automaton on an input file, and write one row of an output file for each of its rows."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from autocog_core.automaton.winners import with_winners
from autocog_core.dataset import output_file
from autocog_core.dataset.columns import check_columns
from autocog_core.dataset.destination import Destination
from autocog_core.dataset.input_file import InputFile
from autocog_core.dataset.notebook_progress import notebook_progress
from autocog_core.dataset.output_file import OutputFile
from autocog_core.dataset.output_format import FormatName
from autocog_core.dataset.output_row import OutputRow
from autocog_core.dataset.progress import Progress
from autocog_core.dataset.row_source import RowSource
from autocog_core.dataset.run_identity import ROWS_KEY, add_to_identity_file
from autocog_core.dataset.run_plan import RunPlan
from autocog_core.dataset.run_sessions import record_session
from autocog_core.dataset.shard import WHOLE, Shard
from autocog_core.dataset.summary import Summary, SummaryBuilder
from autocog_core.dataset.table_columns import TableOptions
from autocog_core.dataset.tree_files import remove_trees
from autocog_core.dataset.written_rows import WrittenRows
from autocog_core.errors import FailedRowsError
from autocog_core.types.backend_info import Usage

#: How many retried rows replace their old ones at once, at least. Each replacement copies the
#: file, so with more rows it replaces more of them: then it copies the file `MAX_COPIES` times.
RETRY_BATCH_ROWS = 100
MAX_COPIES = 50


def run_file(
    run: RunPlan,
    source: Path | RowSource,
    output: Path,
    *,
    limit: int | None = None,
    shard: Shard = WHOLE,
    overwrite: bool = False,
    max_errors: int | None = None,
    format_name: FormatName | None = None,
    options: TableOptions | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Write one row of `output` for each row of `source`; resume an interrupted run.

    Each row is appended to a journal: `OUTPUT.rows.jsonl`, or `output` itself if that is a .jsonl
    file. Other files are made from it at the end of the run; `export_rows` makes them at any time.

    A run that is interrupted or killed loses no complete row and repeats none, except rows with
    retryable errors.

    :param run: how to run each row.
    :param source: the input file, or a folder that `datasets` saved.
    :param output: the output file: .jsonl, .csv, .tsv or .parquet, the first three also with .gz
        or .zst.
    :param limit: run only on the first rows of the file; a later run with a larger limit continues.
    :param shard: the rows to run; `merge_shards` joins the outputs of all shards.
    :param overwrite: remove the output of an earlier run first.
    :param max_errors: end the run after this many rows with errors; None for no limit.
    :param format_name: "jsonl", "csv", "tsv" or "parquet", whatever the name of `output` says.
    :param options: which columns a table has.
    :param on_progress: called at the start and after each row; None shows a bar in notebooks.
    :returns: the summary of all rows of the output.
    :raises InputError: if another automaton, model or input has made the rows of `output`, or if
        the input changes during the run.
    :raises FailedRowsError: after `max_errors` rows with errors; these rows are in the output.
    """
    source = RowSource.of(source)
    on_progress = on_progress or notebook_progress() or (lambda progress: None)
    check_columns(source, run.automaton, run.gold, run.values)
    destination = Destination.of(output, source.path, format_name=format_name, options=options)
    destination.check(run.automaton, source, run.gold, run.marginals)
    journal = destination.journal
    with output_file.lock_output(journal):
        trees = run.tree_dir
        if overwrite and trees is not None and output_file.made_trees_in(journal, trees):
            remove_trees(trees, shard)
        destination.require_new_or_known(overwrite)
        if overwrite:
            destination.remove()
        rows = InputFile(source, shard)
        table = destination.describe(with_winners(run.automaton, run.probs), source)
        totals = SummaryBuilder(run.gold_field, has_marginals=run.has_gold_marginals)
        written = WrittenRows(totals, shard)
        with output_file.open_output(journal, run.identity(rows), table, written) as file:
            usage = _write_rows(run, rows, file, limit, max_errors, on_progress)
            rows.check_content()
            summary = file.summary()
        destination.finish()
        return replace(summary, usage=usage)


def measure_progress(
    rows_so_far: SummaryBuilder, done: int, total: int, resumed: int = 0
) -> Progress:
    """Return the progress of a run.

    :param rows_so_far: the rows of this run.
    :param done: as in `Progress`, and so are `total` and `resumed`.
    """
    return Progress(
        done=done,
        resumed=resumed,
        total=total,
        errors=rows_so_far.errors,
        answered=rows_so_far.answered,
        right=rows_so_far.right,
    )


def check_errors(errors: int, max_errors: int | None, row: Mapping[str, object]) -> None:
    """Check that fewer rows than `max_errors` have errors.

    :param errors: number of rows with errors.
    :param max_errors: the limit; None for no limit.
    :param row: the last output row.
    :raises FailedRowsError: at the limit.
    """
    if max_errors is not None and errors >= max_errors:
        some = "1 row has an error" if errors == 1 else f"{errors:,} rows have errors"
        raise FailedRowsError(f"{some}, the limit; the last: {describe_error(row)}")


def describe_error(row: Mapping[str, object]) -> str:
    """Return the number of an output row with an error, and the error."""
    error = row["error"]
    assert isinstance(error, Mapping)
    parts = [part for part in (error["where"], error["message"]) if part]
    return f"row {row['row']}: {': '.join(parts)}"


def _write_rows(
    run: RunPlan,
    source: InputFile,
    file: OutputFile,
    limit: int | None,
    max_errors: int | None,
    on_progress: Callable[[Progress], None],
) -> dict[str, Usage]:
    resumed = file.rows - len(file.retryable_rows)
    rows_so_far = SummaryBuilder(run.gold_field)
    total = max(file.rows, source.count_rows(limit))
    # An interrupted run is then known as such.
    add_to_identity_file(file.path, {ROWS_KEY: total})
    on_progress(Progress(done=resumed, resumed=resumed, total=total, errors=0))
    meter = run.start_usage_meter()
    with (
        record_session(
            file.path,
            meter.read,
            program=run.program_name,
            backend=run.backend_name,
        ) as count_row,
        closing(_remaining_results(run, source, file, total)) as results,
    ):
        for done, (row, write) in enumerate(results, resumed + 1):
            write(row)
            rows_so_far.add(row)
            count_row()
            on_progress(measure_progress(rows_so_far, done, total, resumed))
            if row["error"] is not None:
                check_errors(rows_so_far.errors, max_errors, row)
    source.check_count(file.rows, total)
    return meter.read()


def _remaining_results(
    run: RunPlan, source: InputFile, file: OutputFile, total: int
) -> Generator[tuple[OutputRow, Callable[[OutputRow], None]], None, None]:
    """Yield the results that the output lacks, each with the function that writes its row.

    Retries come first. Each replacement copies the whole file, so rows are replaced in batches.
    """
    retried: dict[int, OutputRow] = {}

    def keep(row: OutputRow) -> None:
        retried[row["row"]] = row

    retryable = set(file.retryable_rows)
    batch_rows = max(RETRY_BATCH_ROWS, len(retryable) // MAX_COPIES)
    rows = (entry for entry in source.read_rows(0, file.rows) if entry.index in retryable)
    try:
        for row in run.output_rows(rows) if retryable else ():
            yield row, keep
            if len(retried) >= batch_rows:
                file.replace(retried)
                retried.clear()
    finally:
        # Also after an interrupt, so that finished rows are not lost.
        if retried:
            file.replace(retried)
    for row in run.output_rows(source.read_rows(file.rows, total)):
        yield row, file.write
