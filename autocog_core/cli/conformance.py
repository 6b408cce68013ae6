"""`autocog conformance`: check the laws of backends on a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from autocog_core.cli.loading import ModelOptions, log_on_stderr
from autocog_core.cli.options import AsJson, BackendName, BackendOption, ConfigFile
from autocog_core.cli.output import (
    add_number,
    add_text,
    escape_controls,
    new_table,
    show,
    show_json,
)
from autocog_core.cli.session import session
from autocog_core.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from autocog_core.model.model import Model
    from autocog_core.testing import Law, LawResult

_STYLES = {"holds": "green", "broken": "bold red"}


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
    as_json: AsJson = False,
    config: ConfigFile = None,
    backend: BackendName = None,
    option: BackendOption = None,
) -> None:
    """Check that a backend returns correct numbers.

    Every check is a law, for example that probabilities sum to 1. Some laws compare several
    models, so the model is loaded several times. Exit code 1 if a law is broken.
    """
    # Numpy and the laws take long to import.
    from autocog_core.testing import LAWS, BackendUnderTest
    from autocog_core.testing import conformance as check_laws
    from autocog_core.testing.texts import CHOICES, PROMPTS

    laws = _select_laws(law_names or [], LAWS)
    if choices and len(set(choices)) < 2:
        raise InputError(
            "there is only one", where="--choice", hint="give at least two different choices"
        )
    loader = ModelOptions(model=model, config=config, backend=backend, option=option).loader()
    with log_on_stderr():
        subject = BackendUnderTest(
            loader, prompts=prompts or PROMPTS, choices=choices or CHOICES, max_context=longest
        )
        try:
            name = _model_name(subject.model)
            results = []
            with session.progress("laws") as advance:
                for result in check_laws(subject, laws):
                    results.append(result)
                    advance(len(results), len(laws), result.law.name)
        finally:
            subject.close()
    broken = [result for result in results if result.violation is not None]
    if as_json:
        show_json({"model": name, "conforms": not broken, "laws": list(map(_facts, results))})
    else:
        show(_results_table(results), *_details(broken), _summary(name, results))
    if broken:
        raise typer.Exit(1)


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


def _facts(result: LawResult) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "law": result.law.name,
        "promise": result.law.title,
        "kind": result.law.kind,
        "status": result.status,
        "seconds": round(result.seconds, 4),
    }
    if result.reason:
        facts["reason"] = result.reason
    if (violation := result.violation) is not None:
        names = ("problem", "given", "expected", "got", "cause")
        facts |= {name: value for name in names if (value := getattr(violation, name))}
    return facts


def _results_table(results: list[LawResult]) -> Table:
    table = new_table()
    add_text(table, "law", "bold")
    add_text(table, "status")
    add_text(table, "promise")
    add_number(table, "seconds")
    for result in results:
        status = Text(result.status, style=_STYLES.get(result.status, "dim"))
        text = escape_controls(result.reason or result.law.title)
        table.add_row(result.law.name, status, text, f"{result.seconds:.2f}")
    return table


def _details(broken: list[LawResult]) -> list[Text]:
    """Return what is wrong: one text per law, or per error of a call that breaks several laws."""
    by_cause: dict[str, list[LawResult]] = {}
    for result in broken:
        assert result.violation is not None
        by_cause.setdefault(result.violation.failure or result.law.name, []).append(result)
    return [Text(escape_controls(f"\n{_detail(results)}")) for results in by_cause.values()]


def _detail(results: list[LawResult]) -> str:
    violation = results[0].violation
    assert violation is not None
    if len(results) == 1:
        return str(violation)
    names = ", ".join(result.law.name for result in results)
    return f"one error breaks {len(results)} laws: {violation.problem}\n  {names}"


def _summary(name: str, results: list[LawResult]) -> Text:
    statuses = [result.status for result in results]
    held, broken = statuses.count("holds"), statuses.count("broken")
    skipped = len(statuses) - held - broken
    text = f"\n{name}: {held} laws hold, {broken} are broken"
    if skipped:
        text += f", {skipped} do not apply"
    return Text(escape_controls(text), style="red" if broken else "green")
