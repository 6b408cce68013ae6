"""`autocog compare`: two models on the same work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocog_core.cli.comparison_table import show_comparison
from autocog_core.cli.inputs import parse_backend_options
from autocog_core.cli.loading import load_named_model, log_on_stderr
from autocog_core.cli.options import AsJson, ConfigFile, ProgramValues
from autocog_core.cli.output import show_json
from autocog_core.cli.session import session
from autocog_core.errors import InputError
from autocog_core.types.choice import Norm


def compare(
    first: Annotated[
        str,
        typer.Argument(
            metavar="FIRST", help="Model of the config file, or a backend with --first-option."
        ),
    ],
    second: Annotated[
        str,
        typer.Argument(
            metavar="SECOND", help="Model of the config file, or a backend with --second-option."
        ),
    ],
    work: Annotated[
        Path,
        typer.Argument(
            metavar="WORK",
            help="A program (.yaml, .json); or texts to score, and with choices prompts: one per "
            "line, or the column `text` or `prompt` of a .csv, .tsv, .jsonl or .parquet file.",
        ),
    ],
    *,
    rows: Annotated[
        Path | None,
        typer.Option(
            "--input", "-i", metavar="FILE", help="Rows on which a program runs, as in `run`."
        ),
    ] = None,
    values: ProgramValues = None,
    choices: Annotated[
        list[str] | None,
        typer.Option(
            "--choice",
            "-c",
            metavar="TEXT",
            help="Choice after every prompt (default: the lists in the column `choices`). "
            "Repeatable.",
        ),
    ] = None,
    norm: Annotated[Norm, typer.Option(help="What ranks the choices of prompts.")] = "sum",
    context: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Text before each text, which is not scored itself."),
    ] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use only the first items (default: all).")
    ] = None,
    first_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Set an option of the first model, over those of the config file. Repeatable.",
        ),
    ] = None,
    second_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Set an option of the second model, over those of the config file. Repeatable.",
        ),
    ] = None,
    min_agreement: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Exit with 1 if a smaller share of the picks is the same (default: no limit).",
        ),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare two models, quantizations or backends: tokens, log-probabilities, picks and speed.

    Both models are loaded at the same time. Exit codes: 0 whatever the differences, 1 below
    --min-agreement or if no item succeeded, 2 for wrong arguments or files.

    Example: autocog compare small large prompts.txt -c " yes" -c " no"
    """
    from autocog_core.cli.compare_work import read_work

    # Loading two models may take long, so all errors that need no model come before.
    job = read_work(
        work,
        rows=rows,
        values=values or (),
        choices=choices or (),
        norm=norm,
        context=context,
        limit=limit,
    )
    if min_agreement is not None and not job.has_picks:
        raise InputError("requires choices or a program", where="--min-agreement")
    options = [
        parse_backend_options(pairs or (), option)
        for pairs, option in ((first_option, "--first-option"), (second_option, "--second-option"))
    ]
    with (
        log_on_stderr(),
        load_named_model(first, options[0], config) as first_model,
        load_named_model(second, options[1], config) as second_model,
        session.progress("comparing") as update,
    ):
        comparison = job.compare(
            first_model, second_model, lambda done, total: update(done, total, "")
        )
    if as_json:
        show_json(comparison.to_dict())
    else:
        show_comparison(comparison)
    _check_agreement(comparison.agreement, min_agreement)


def _check_agreement(agreement: float | None, limit: float | None) -> None:
    if limit is None:
        return
    if agreement is None:
        raise InputError("cannot be checked: the program made no picks", where="--min-agreement")
    if agreement < limit:
        session.error(f"{agreement:.4f} of the picks are the same, less than {limit}")
        raise typer.Exit(1)
