"""`autocog compare-norms`: which norm finds the right choices of a program."""

from __future__ import annotations

from collections.abc import Iterator
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
from autocog_core.cli.output import add_number, add_text, new_table, show, show_json
from autocog_core.cli.run_models import ProgramModels
from autocog_core.cli.run_progress import RunProgress
from autocog_core.cli.run_source import InputOptions
from autocog_core.cli.run_values import input_values
from autocog_core.cli.session import session
from autocog_core.cli.styles import PICKED
from autocog_core.cli.text import Text
from autocog_core.errors import FailedRowsError, UsageError

if TYPE_CHECKING:
    from autocog_core.dataset import NormComparison, RowSource, Run


def compare_norms(
    program: ProgramFile,
    *,
    gold: Annotated[
        str,
        typer.Option(
            metavar="[FIELD=]COLUMN",
            help="Column of the input with the right answers of FIELD (default: the last named "
            "choice).",
        ),
    ],
    values: ProgramValues = None,
    input_options: InputOptions,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Compare only the first rows (default: all rows)."),
    ] = None,
    concurrency: Concurrency = 1,
    models: ProgramModelNames = None,
    as_json: AsJson = False,
    model_options: ModelOptions,
) -> None:
    """Compare all norms of a choice on rows with right answers, and recommend one.

    The program runs once for each row of --input. All norms rank the same choices.
    """
    from autocog_core import Automaton
    from autocog_core.automaton.inputs import require_valid_values
    from autocog_core.dataset import Gold, Run, check_columns

    if input_options.source is None:
        raise UsageError("is required", where="--input")
    automaton = Automaton.from_file(program)
    program_models = ProgramModels.select(automaton, models or (), model_options)
    fixed_values = input_values(automaton, values or (), is_stdin_used=input_options.is_stdin)
    require_valid_values(automaton.inputs, fixed_values)
    gold_column = Gold.parse(gold, automaton)
    with input_options.open() as source:
        check_columns(source, automaton, gold_column, fixed_values)
        with program_models.open() as (main, others):
            job = Run(
                automaton,
                main,
                models=others,
                values=fixed_values,
                concurrency=concurrency,
                gold=gold_column,
            )
            comparison = _compare(job, source, limit)
    if as_json:
        show_json(comparison.to_dict())
    else:
        _show(comparison)
    if comparison.rows and comparison.errors == comparison.rows:
        raise FailedRowsError(f"no row succeeded; the first: {comparison.first_error}")


def _compare(job: Run, source: RowSource, limit: int | None) -> NormComparison:
    from autocog_core.dataset import InputFile, Progress
    from autocog_core.dataset import compare_norms as compare

    file = InputFile(source)
    total = file.count_rows(limit)
    with RunProgress(is_resumable=False) as progress:
        return compare(
            job,
            file.read_rows(limit=limit),
            on_row=lambda rows, errors: progress.update(
                Progress(done=rows, total=total, errors=errors)
            ),
        )


def _show(comparison: NormComparison) -> None:
    table = new_table()
    table.add_column("", no_wrap=True, style=PICKED)
    add_text(table, "norm")
    for header in ("accuracy", "95% interval", "log loss", "ECE", "Brier", "over sum", "p"):
        add_number(table, header)
    for result in comparison.results:
        is_best = result.norm == comparison.recommended
        low, high = result.interval
        table.add_row(
            ">" if is_best else "",
            result.norm,
            f"{result.accuracy:.4f}",
            f"{low:.4f}-{high:.4f}",
            "inf" if result.log_loss is None else f"{result.log_loss:.3f}",
            f"{result.calibration_error:.3f}",
            f"{result.brier:.3f}",
            "" if result.p_value is None else f"+{result.gained} -{result.lost}",
            "" if result.p_value is None else f"{result.p_value:.2g}",
            style="bold" if is_best else None,
        )
    parts = [table] if comparison.results else []
    show(*parts, *(Text(line, style="dim") for line in _notes(comparison)))
    if comparison.recommended is not None:
        show(Text(f"use {comparison.recommended}: {comparison.reason}", style="bold"))
    else:
        session.warn(comparison.reason)


def _notes(comparison: NormComparison) -> Iterator[str]:
    rows = f"field {comparison.field}, {comparison.answered:,} of {comparison.rows:,} rows answered"
    if comparison.errors:
        rows += f", {comparison.errors:,} errors; the first: {comparison.first_error}"
    if comparison.chance is not None:
        rows += f"; a guess is right in {comparison.chance:.1%}"
    yield rows
    if comparison.impossible:
        yield f"{comparison.impossible:,} right answers are none of the choices of their row"
    prompts = comparison.unconditional_prompts
    if len(prompts) == 1:
        (prompt,) = prompts
        yield f"pmi is the gain over {repr(prompt) if prompt else 'BOS alone'}"
    elif prompts:
        yield f"pmi is the gain over {len(prompts)} prompts, for example {min(prompts)!r}"
    for norm, reason in comparison.unavailable.items():
        yield f"{norm} is not compared: {reason}"
    if not comparison.exact:
        yield "some scores are not the model's own log-probabilities"
