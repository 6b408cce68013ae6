"""`autocog doctor`: what is installed and configured, whether it works, and what mends it."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from autocog_core.cli.options import AsJson, ConfigFile, Debug, Quiet
from autocog_core.cli.output import show_json
from autocog_core.cli.session import session
from autocog_core.config.config_file import find_config


def _finite(seconds: float) -> float:
    # NaN is not below any least value either.
    if not math.isfinite(seconds):
        raise typer.BadParameter(f"{seconds:g} is no number of seconds")
    return seconds


def doctor(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="Examine this model and its plugins alone."),
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    no_load: Annotated[
        bool, typer.Option("--no-load", help="Check the models' options, but load none.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0.1,
            help="For one import, or one model, at most.",
            callback=_finite,
        ),
    ] = 120.0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Examine plugins, config file, models and environment, and say what mends them.

    Every plugin is imported and every model of the config loaded, each in a process of its own.
    Exit code 1 if the config file, or a model in it, does not work.
    """
    from autocog_core.cli.doctor_output import show_diagnosis
    from autocog_core.doctor import examine

    if config is not None:
        find_config(config)  # a file that does not exist is a wrong command line
    with session.progress("examining") as watch:
        diagnosis = examine(model, config=config, load=not no_load, timeout=timeout, watch=watch)
    if as_json:
        show_json(diagnosis.to_dict())
    else:
        show_diagnosis(diagnosis)
    if not diagnosis.works:
        raise typer.Exit(1)
