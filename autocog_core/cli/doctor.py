"""`autocog doctor`: check what is installed and configured."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from autocog_core.cli.options import AsJson, ConfigFile
from autocog_core.cli.output import show_json
from autocog_core.cli.session import session
from autocog_core.config.config_file import find_config


def _check_finite(seconds: float) -> float:
    # `min` of the option does not reject NaN.
    if not math.isfinite(seconds):
        raise typer.BadParameter(f"{seconds:g} is not a finite number")
    return seconds


def doctor(
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="Check only this model and its plugins."),
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    no_load: Annotated[
        bool, typer.Option("--no-load", help="Check the options of models, but load no model.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0.1,
            help="Time limit for each import and each model.",
            callback=_check_finite,
        ),
    ] = 120.0,
) -> None:
    """Check plugins, config file, models and environment. Report problems and how to fix them.

    Import each plugin and load each configured model, in separate processes.
    The exit code is 1 if the config file or one of its models does not work.
    """
    from autocog_core.cli.doctor_output import show_diagnosis
    from autocog_core.doctor import examine

    if config is not None:
        find_config(config)  # a missing file is a usage error here, not a problem to report
    with session.progress("examining") as update:
        diagnosis = examine(
            model, config=config, load=not no_load, timeout=timeout, on_progress=update
        )
    if as_json:
        show_json(diagnosis.to_dict())
    else:
        show_diagnosis(diagnosis)
    if not diagnosis.works:
        raise typer.Exit(1)
