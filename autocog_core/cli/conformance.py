"""`autocog conformance`: check the laws of backends on a model."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from autocog_core.cli.command_group import EXIT_INTERRUPTED
from autocog_core.cli.conformance_report import Report
from autocog_core.cli.loading import ModelOptions, log_on_stderr
from autocog_core.cli.options import AsJson, BackendName, BackendOption, ConfigFile
from autocog_core.cli.session import session
from autocog_core.cli.stop_signals import run_until_stopped
from autocog_core.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from autocog_core.model.model import Model
    from autocog_core.testing import BackendUnderTest, Law

#: Exit codes of a check that did not finish; at Ctrl-C it is that of all commands.
EXIT_UNFINISHED, EXIT_TERMINATED = 3, 143


def conformance(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="Model of the config file (default: the config's default model).",
        ),
    ] = None,
    *,
    law_names: Annotated[
        list[str] | None,
        typer.Option(
            "--law", metavar="LAW", help="Check only this law (default: all laws). Repeatable."
        ),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            metavar="TEXT",
            help="Prompt for the checks (default: built-in prompts). Repeatable.",
        ),
    ] = None,
    choices: Annotated[
        list[str] | None,
        typer.Option(
            "-c",
            "--choice",
            metavar="TEXT",
            help="Choice for the checks, at least two (default: built-in choices). Repeatable.",
        ),
    ] = None,
    longest: Annotated[
        int,
        typer.Option(
            min=2, help="Skip checks that fill the context if it has more tokens than this."
        ),
    ] = 4096,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Check fewer cases, with short texts: a minute with a small model."
        ),
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget",
            metavar="SECONDS",
            min=0,
            help="Stop after this time, and name the laws that were not checked (exit code 3).",
        ),
    ] = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first law that is broken.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    backend: BackendName = None,
    option: BackendOption = None,
) -> None:
    """Check that a backend returns correct numbers.

    Every check is a law, for example that probabilities sum to 1. Some laws compare several
    models, so the model is loaded several times. Each law is shown when it is checked; Ctrl-C and
    SIGTERM leave the report of these. Exit code 1 if a law is broken.
    """
    # Numpy and the laws take long to import.
    from autocog_core.testing import LAWS, BackendUnderTest
    from autocog_core.testing.texts import CHOICES, PROMPTS

    laws = _select_laws(law_names or [], LAWS)
    if choices and len(set(choices)) < 2:
        raise InputError(
            "there is only one", where="--choice", hint="give at least two different choices"
        )
    options = ModelOptions(model=model, config=config, backend=backend, option=option)
    report = Report(laws=laws, as_json=as_json, model=model or backend or "")
    subject = BackendUnderTest(
        options.loader(),
        prompts=prompts or PROMPTS,
        choices=choices or CHOICES,
        max_context=longest,
        make_pair=options.load_pair,
        quick=quick,
    )
    with log_on_stderr():
        stop = run_until_stopped(lambda: _check_laws(subject, report, fail_fast=fail_fast), budget)
    report.stopped_by = report.stopped_by or stop.reason
    # An interrupted call may still end.
    with log_on_stderr(), session.spinner("closing the model ..."):
        subject.close()
    report.finish()
    if code := _exit_code(report):
        raise typer.Exit(code)


def _check_laws(subject: BackendUnderTest, report: Report, *, fail_fast: bool) -> None:
    """Check the report's laws one by one."""
    from autocog_core.model.prefix_sharing import measured_tiers
    from autocog_core.testing import conformance as check_laws

    report.model = _model_name(subject.model)
    count = len(report.laws)
    for index, law in enumerate(report.laws, start=1):
        with session.spinner(f"checking {law.name} ({index} of {count}) ..."):
            (result,) = check_laws(subject, [law])
        report.add(result)
        if report.tolerance is None:
            report.tolerance = _tolerance(subject.model)
        if fail_fast and report.broken and index < count:
            report.stopped_by = "fail-fast"
            return
    # A broken backend may not be able to; the laws say why.
    with suppress(Exception):
        report.offers = measured_tiers(subject.model.client)


def _exit_code(report: Report) -> int:
    if report.stopped_by == "interrupt":
        return EXIT_INTERRUPTED
    if report.stopped_by == "termination":
        return EXIT_TERMINATED
    return 1 if report.broken else EXIT_UNFINISHED if report.not_run else 0


def _tolerance(model: Model) -> float | None:
    try:
        return model.info.tolerance
    except Exception:  # noqa: BLE001 - a law reports the error
        return None


def _model_name(model: Model) -> str:
    try:
        return model.info.name
    except Exception:  # noqa: BLE001 - a law reports the error
        return model.name


def _select_laws(names: list[str], laws: list[Law]) -> list[Law]:
    laws_by_name = {law.name: law for law in laws}
    for name in names:
        if name not in laws_by_name:
            raise InputError(
                f'there is no law "{name}"', where="--law", hint=did_you_mean(name, laws_by_name)
            )
    return [laws_by_name[name] for name in dict.fromkeys(names)] or laws
