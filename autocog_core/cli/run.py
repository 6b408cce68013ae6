"""`autocog run`: run a program on one input, or on every row of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autocog_core.cli.loading import ModelOptions
from autocog_core.cli.options import (
    AsJson,
    Concurrency,
    ProgramFile,
    ProgramModelNames,
    ProgramValues,
)
from autocog_core.cli.output import show_json
from autocog_core.cli.page_file import require_writable_page
from autocog_core.cli.run_destination import (
    choose_destination,
    is_for_reader,
    row_table,
    row_writer,
)
from autocog_core.cli.run_models import ProgramModels
from autocog_core.cli.run_once import run_once
from autocog_core.cli.run_output import check_success
from autocog_core.cli.run_rows import run_to_file, run_to_stdout
from autocog_core.cli.run_source import InputOptions
from autocog_core.cli.run_values import input_values
from autocog_core.cli.runner_options import RunnerFlags, open_run
from autocog_core.cli.table_options import TableFlags
from autocog_core.errors import InputError, UsageError

if TYPE_CHECKING:
    from autocog_core.evaluation.evaluation import Strategy


class StrategyName(StrEnum):
    """The strategies of evaluation."""

    TOKEN_TREE = "token_tree"  # noqa: S105
    TEXT = "text"


def run(
    program: ProgramFile,
    *,
    values: ProgramValues = None,
    input_options: InputOptions,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the rows to this file: .jsonl, .csv, .tsv (each also .gz or .zst) or "
            ".parquet; - is stdout, the default, where a terminal gets a table to read. The same "
            "command resumes an interrupted run.",
        ),
    ] = None,
    tree_dir: Annotated[
        Path | None,
        typer.Option(
            "--trees",
            metavar="DIR",
            help="Also write the result tree of each row, as JSON, into this folder.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Without --input: also write the result tree as a page for a browser.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Run only on the first rows (default: all rows)."),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Run only on every N-th row, from row I on, so that N processes share the rows; "
            "`autocog merge` joins their outputs.",
        ),
    ] = None,
    concurrency: Concurrency = 1,
    gold: Annotated[
        str | None,
        typer.Option(
            metavar="[FIELD=]COLUMN",
            help="Column of the input with the right answers; the summary shows the accuracy of "
            "FIELD (default: the last named choice).",
        ),
    ] = None,
    marginals: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD",
            help="Also give the probability of each value of this field over all paths; may be "
            "repeated.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Write nothing; print the rows, model calls, tokens and time of the run. A few "
            "rows are run to measure the time.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Overwrite the existing output file.")
    ] = False,
    models: ProgramModelNames = None,
    max_errors: Annotated[
        int | None,
        typer.Option(
            min=1, help="End the run after this many rows with errors (default: no limit)."
        ),
    ] = None,
    budget_tokens: Annotated[
        int | None,
        typer.Option(
            min=1, help="Maximum number of tokens to evaluate per row (default: no limit)."
        ),
    ] = None,
    budget_seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Maximum time per row, in seconds (default: no limit)."),
    ] = None,
    strategy: Annotated[
        StrategyName | None,
        typer.Option(
            help="Evaluate token probabilities, which is exact (token_tree), or whole texts and "
            "choices (text) (default: token_tree if the models support it)."
        ),
    ] = None,
    as_json: AsJson = False,
    table: TableFlags,
    runner_flags: RunnerFlags,
    model_options: ModelOptions,
) -> None:
    """Run a program on one input, or on every row of a file.

    If you interrupt a run with --input and --output, the same command resumes it. Exit codes:
    0 if a row succeeded, 1 if all rows or --max-errors rows have errors or the engine failed,
    2 for wrong arguments or files, 130 if interrupted.
    """
    from autocog_core import Automaton, Budget
    from autocog_core.automaton.winners import require_winners, with_winners
    from autocog_core.dataset.row_marginals import check_marginals

    is_shown = is_for_reader(output, table)
    options_for_rows = {
        "--output": output,
        "--trees": tree_dir,
        "--limit": limit,
        "--shard": shard,
        "--concurrency": concurrency != 1,
        "--gold": gold,
        "--max-errors": max_errors,
        "--overwrite": overwrite,
        "--dry-run": dry_run,
        **table.given(),
        **runner_flags.given(),
    }
    if input_options.source is None:
        options_for_rows["--input-format"] = input_options.input_format
        _reject(options_for_rows, "requires --input")
        if as_json:
            _reject({"--marginals": marginals}, "is not part of the tree: leave out --json")
    elif html is not None:
        raise UsageError(
            "is for a single input, without --input",
            where="--html",
            hint="write trees with --trees; `autocog show TREE.json -o FILE.html` draws one",
        )
    elif (output is None or output == Path("-")) and not dry_run:
        output = None
        _reject({"--overwrite": overwrite, "--json": as_json}, "requires --output")
    if html is not None:
        require_writable_page(html, "--html")
        _check_output(html, {"program": program, "config file": model_options.config})
    runner = runner_flags.find()
    if runner is not None and dry_run:
        raise UsageError("measures rows in this process: leave out --runner", where="--dry-run")
    automaton = Automaton.from_file(program)
    require_winners(automaton, table.choice_probs)
    fields = check_marginals(with_winners(automaton, table.choice_probs), marginals or ())
    program_models = ProgramModels.select(automaton, models or (), model_options)
    budget = Budget(tokens=budget_tokens, seconds=budget_seconds)
    strategy_name: Strategy | None = None if strategy is None else strategy.value
    fixed_values = input_values(automaton, values or (), is_stdin_used=input_options.is_stdin)
    if input_options.source is None:
        run_once(
            automaton,
            program_models,
            fixed_values,
            budget,
            strategy_name,
            fields,
            as_json,
            table.choice_probs,
            html,
        )
        return
    from autocog_core.automaton.inputs import require_valid_values
    from autocog_core.cli.run_estimate import estimate_run, show_estimate
    from autocog_core.dataset import Gold, Run, check_columns, count_rows, estimate_rows
    from autocog_core.dataset.shard import WHOLE, Shard

    require_valid_values(automaton.inputs, fixed_values)
    gold_column = None if gold is None else Gold.parse(gold, automaton)
    part = WHOLE if shard is None else Shard.parse(shard)
    with input_options.open() as source:
        check_columns(source, automaton, gold_column, fixed_values)
        if source.compression or source.format == "json":
            # Their damage shows only where it is. Loading a model may take long.
            count_rows(source, limit)
        destination = choose_destination(output, source, table)
        columns = destination.check(automaton, source, gold_column, fields)
        if output is not None:
            _check_output(output, {"program": program, "config file": model_options.config})
            destination.require_new_or_known(overwrite)
        if dry_run and not model_options.is_any_configured():
            estimate = estimate_rows(
                automaton, source, fixed_values, limit, probs=table.choice_probs, shard=part
            )
            show_estimate(estimate, as_json=as_json)
            return
        settings = {
            "values": fixed_values,
            "budget": budget,
            "concurrency": concurrency,
            "gold": gold_column,
            "tree_dir": None if dry_run else tree_dir,
            "strategy": strategy_name,
            "marginals": fields,
            "probs": table.choice_probs,
            "program_name": str(program),
        }
        with open_run(automaton, program_models, runner, settings) as job:
            if isinstance(job, Run) and dry_run:
                show_estimate(estimate_run(job, source, limit, part), as_json=as_json)
                return
            if is_shown:
                with row_table(automaton, fixed_values, gold_column) as write:
                    summary = run_to_stdout(job, source, limit, part, max_errors, write)
            elif output is None:
                write = row_writer(destination, columns)
                summary = run_to_stdout(job, source, limit, part, max_errors, write)
            else:
                summary = run_to_file(job, source, destination, limit, part, max_errors, overwrite)
                if as_json:
                    show_json(summary.to_dict())
    check_success(summary)


def _reject(options: Mapping[str, object], reason: str) -> None:
    for name, value in options.items():
        if value:
            raise UsageError(reason, where=name)


def _check_output(output: Path, files: Mapping[str, Path | None]) -> None:
    """Check an output before the model is loaded; --overwrite must not destroy `files`."""
    for name, path in files.items():
        try:
            is_same = path is not None and output.samefile(path)
        except OSError:
            # One of them does not exist. What else is wrong with the output is reported later.
            continue
        if is_same:
            raise InputError(f"is the {name}", where=str(output), hint="name another output file")
