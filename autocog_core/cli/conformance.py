"""`autocog conformance`: the laws of backends, checked on a configured model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from autocog_core.cli.loading import loader, messages_on_stderr
from autocog_core.cli.options import (
    AsJson,
    BackendName,
    BackendOption,
    ConfigFile,
    Debug,
    Quiet,
)
from autocog_core.cli.output import add_number, add_text, new_table, printable, show, show_json
from autocog_core.cli.session import session
from autocog_core.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from autocog_core.model.model import Model
    from autocog_core.testing import Law, LawResult

_STYLES = {"holds": "green", "broken": "bold red"}


def conformance(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="The configured model.", show_default=False),
    ] = None,
    law: Annotated[
        list[str] | None,
        typer.Option(metavar="LAW", help="Only this law; may be given again.", show_default=False),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="Ask this in place of the laws' own prompts; may be given again.",
            show_default=False,
        ),
    ] = None,
    choice: Annotated[
        list[str] | None,
        typer.Option(
            "-c",
            "--choice",
            metavar="TEXT",
            help="Choose from these in place of the laws' own choices; at least two.",
            show_default=False,
        ),
    ] = None,
    longest: Annotated[
        int, typer.Option(min=2, help="Contexts of more tokens are not filled to their end.")
    ] = 4096,
    as_json: AsJson = False,
    config: ConfigFile = None,
    backend: BackendName = None,
    option: BackendOption = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check that a backend keeps the laws: that its numbers can be trusted.

    Some laws need a second model: the model is loaded several times. Exits with 1 if a law is
    broken.
    """
    # Only here: numpy and all the laws take a moment to import.
    from autocog_core.testing import LAWS, BackendUnderTest
    from autocog_core.testing import conformance as checked
    from autocog_core.testing.texts import CHOICES, PROMPTS

    chosen = _chosen(law or [], LAWS)
    if choice and len(set(choice)) < 2:
        raise InputError("one choice is none", where="--choice", hint="give at least two")
    make = loader(model, config, backend, option)
    with messages_on_stderr():
        subject = BackendUnderTest(
            make, prompts=prompt or PROMPTS, choices=choice or CHOICES, max_context=longest
        )
        try:
            name = _name(subject.model)
            found = []
            with session.progress("laws") as advance:
                for finding in checked(subject, chosen):
                    found.append(finding)
                    advance(len(found), len(chosen), finding.law.name)
        finally:
            subject.close()
    broken = [finding for finding in found if finding.violation is not None]
    if as_json:
        show_json({"model": name, "conforms": not broken, "laws": list(map(_facts, found))})
    else:
        show(_table(found), *_details(broken), _summary(name, found))
    if broken:
        raise typer.Exit(1)


def _name(model: Model) -> str:
    try:
        return model.info.name
    except Exception:  # noqa: BLE001 - which a law is to show
        return model.name


def _chosen(names: list[str], laws: list[Law]) -> list[Law]:
    known = {law.name: law for law in laws}
    for name in names:
        if name not in known:
            raise InputError(
                f'no law is called "{name}"', where="--law", hint=did_you_mean(name, known)
            )
    return [known[name] for name in dict.fromkeys(names)] or laws


def _facts(finding: LawResult) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "law": finding.law.name,
        "promise": finding.law.title,
        "kind": finding.law.kind,
        "status": finding.status,
        "seconds": round(finding.seconds, 4),
    }
    if finding.reason:
        facts["reason"] = finding.reason
    if (broken := finding.violation) is not None:
        names = ("problem", "given", "expected", "got", "cause")
        facts |= {name: value for name in names if (value := getattr(broken, name))}
    return facts


def _table(found: list[LawResult]) -> Any:
    table = new_table()
    add_text(table, "law", "bold")
    add_text(table, "status")
    add_text(table, "promise")
    add_number(table, "seconds")
    for finding in found:
        status = Text(finding.status, style=_STYLES.get(finding.status, "dim"))
        told = printable(finding.reason or finding.law.title)
        table.add_row(finding.law.name, status, told, f"{finding.seconds:.2f}")
    return table


def _details(broken: list[LawResult]) -> list[Text]:
    """What is broken, each by itself; laws that one error breaks are told together."""
    by_failure: dict[str, list[LawResult]] = {}
    for finding in broken:
        assert finding.violation is not None
        # What is no failed call stands for itself, by the name of its law.
        by_failure.setdefault(finding.violation.failure or finding.law.name, []).append(finding)
    return [Text(printable(f"\n{_detail(same)}")) for same in by_failure.values()]


def _detail(same: list[LawResult]) -> str:
    if len(same) == 1:
        return str(same[0].violation)
    names = ", ".join(finding.law.name for finding in same)
    problem = same[0].violation.problem if same[0].violation else ""
    return f"one error breaks {len(same)} laws: {problem}\n  {names}"


def _summary(name: str, found: list[LawResult]) -> Text:
    count = partial(_count, found)
    told = f"\n{name}: {count('holds')} laws hold, {count('broken')} are broken"
    rest = count("not offered") + count("not applicable")
    if rest:
        told += f", {rest} have nothing to say of it"
    return Text(printable(told), style="red" if count("broken") else "green")


def _count(found: list[LawResult], status: str) -> int:
    return sum(finding.status == status for finding in found)
