"""`autocog run`: a program on one input, or on every row of a data set."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autocog_core.cli.options import (
    AsJson,
    BackendName,
    BackendOption,
    ConfigFile,
    Debug,
    ModelName,
    ProgramFile,
    ProgramValues,
    Quiet,
)
from autocog_core.cli.output import show_json
from autocog_core.cli.run_inputs import WantedModels, input_values
from autocog_core.cli.run_output import (
    Watch,
    show_answer,
    show_summary,
    show_usage,
    write_record,
)
from autocog_core.errors import UsageError

if TYPE_CHECKING:
    from autocog_core import Automaton, Budget
    from autocog_core.dataset import Run
    from autocog_core.evaluation.evaluation import Strategy


class StrategyName(StrEnum):
    """The strategies by name."""

    TOKEN_TREE = "token_tree"  # noqa: S105
    TEXT = "text"


def run(
    program: ProgramFile,
    value: ProgramValues = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE",
            help="Rows of inputs: .jsonl, .csv or .parquet.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="One line of JSON a row (else stdout); after those that are there it goes on.",
            show_default=False,
        ),
    ] = None,
    tree_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write each row's whole tree here too.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first rows.", show_default=False)
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="How many rows at once.")] = 1,
    gold: Annotated[
        str | None,
        typer.Option(
            metavar="[FIELD=]COLUMN",
            help="The column of right answers to the last named choice, or to FIELD.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Overwrite the existing output file.")
    ] = False,
    models: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL",
            help="Which model of the config the program means by NAME; repeatable.",
            show_default=False,
        ),
    ] = None,
    budget_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Most tokens evaluated for a row.", show_default=False),
    ] = None,
    budget_seconds: Annotated[
        float | None, typer.Option(min=0, help="Most time for a row.", show_default=False)
    ] = None,
    strategy: Annotated[
        StrategyName | None,
        typer.Option(
            help="How models are asked: for token distributions, which is exact, or for whole "
            "texts and choices (else the first where they can).",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    model: ModelName = None,
    config: ConfigFile = None,
    backend: BackendName = None,
    option: BackendOption = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run a program on one input, or on every row of a file.

    An interrupted run of a file goes on where it was when the same command is given again.
    """
    from autocog_core import Automaton, Budget

    for_rows = {
        "--output": output,
        "--tree-dir": tree_dir,
        "--limit": limit,
        "--concurrency": concurrency > 1,
        "--gold": gold,
        "--overwrite": overwrite,
    }
    if source is None:
        _refuse(for_rows, "goes with --input")
    else:
        _refuse({"--set": value}, "does not go with --input, whose rows have the values")
    if source is not None and output is None:
        _refuse({"--overwrite": overwrite, "--json": as_json}, "goes with --output")
    automaton = Automaton.from_file(program)
    wanted = WantedModels.of(automaton, models or (), model, config, backend, option)
    budget = Budget(tokens=budget_tokens, seconds=budget_seconds)
    asked: Strategy | None = None if strategy is None else strategy.value
    if source is None:
        _run_once(automaton, wanted, value or (), budget, asked, as_json)
        return
    from autocog_core.dataset import Gold, Run, check_columns

    right = None if gold is None else Gold.parse(gold, automaton)
    check_columns(source, automaton, right)
    with wanted.opened() as (opened, others):
        job = Run(automaton, opened, others, budget, concurrency, right, tree_dir, asked)
        if output is None:
            _run_to_stdout(job, source, limit)
        else:
            _run_to_file(job, source, output, limit, overwrite, as_json)


def _refuse(given: Mapping[str, object], reason: str) -> None:
    wrong = next((name for name, value in given.items() if value), None)
    if wrong is not None:
        raise UsageError(reason, where=wrong)


def _run_once(
    automaton: Automaton,
    wanted: WantedModels,
    pairs: Sequence[str],
    budget: Budget,
    strategy: Strategy | None,
    as_json: bool,
) -> None:
    from autocog_core.dataset import Meter

    values = input_values(automaton, pairs)
    # What is wrong with them can be said before a model is loaded, which may take long.
    automaton.bind(values)
    with wanted.opened() as (opened, others):
        meter = Meter(opened, others)
        tree = automaton.run(opened, values, models=others, budget=budget, strategy=strategy)
        used = meter.read()
    if as_json:
        show_json(tree.to_dict())
    else:
        show_answer(automaton, tree)
    show_usage(used)


def _run_to_stdout(job: Run, source: Path, limit: int | None) -> None:
    from autocog_core.dataset import Progress, Tally, count_rows, read_rows

    # Lines on a terminal show themselves how far it is.
    with Watch(drawn=not sys.stdout.isatty(), resumable=False) as watch:
        tally = Tally(job.gold.field if job.gold is not None else None)
        total = count_rows(source, limit)
        meter = job.meter()
        for answer in job.answers(read_rows(source, limit=limit)):
            write_record(answer.record)
            tally.add(answer.record)
            watch.update(Progress(answer.record["row"] + 1, 0, total, tally.errors))
        used = meter.read()
    show_summary(replace(tally.summary(), usage=used), watch)


def _run_to_file(
    job: Run, source: Path, output: Path, limit: int | None, overwrite: bool, as_json: bool
) -> None:
    from autocog_core.dataset import run_file

    with Watch() as watch:
        summary = run_file(
            job, source, output, limit=limit, overwrite=overwrite, on_progress=watch.update
        )
    show_summary(summary, watch)
    if as_json:
        show_json(summary.to_dict())
