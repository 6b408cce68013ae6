"""`autocog check`: what is wrong with a program, and what a run of it may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.text import Text

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
from autocog_core.cli.output import facts_table, show, show_json
from autocog_core.cli.run_inputs import WantedModels, input_values

if TYPE_CHECKING:
    from autocog_core import Automaton
    from autocog_core.automaton import Finding
    from autocog_core.evaluation.cost_estimate import Estimate


def check(
    program: ProgramFile,
    value: ProgramValues = None,
    as_json: AsJson = False,
    model: ModelName = None,
    config: ConfigFile = None,
    backend: BackendName = None,
    option: BackendOption = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Look for faults in a program; with a model also for those that its tokens bring to light.

    With a model (-m or --backend) it also tells how many model calls and tokens a run takes at
    most; values (--set) make that exact for templates. Exit code 2 if there are faults.
    """
    from autocog_core import Automaton
    from autocog_core.evaluation.cost_estimate import estimate

    automaton = Automaton.from_file(program)
    if value:
        automaton = automaton.bind(input_values(automaton, value))
    if model is None and backend is None:
        _report(automaton, automaton.check(), None, as_json)
        return
    wanted = WantedModels(model, config, backend, option, {})
    with wanted.opened() as (opened, _):
        found = automaton.check(opened)
        cost = estimate(automaton, opened.client) if not _faults(found) else None
    _report(automaton, found, cost, as_json)


def _faults(found: list[Finding]) -> list[Finding]:
    return [one for one in found if not one.warning]


def _report(
    automaton: Automaton, found: list[Finding], cost: Estimate | None, as_json: bool
) -> None:
    faults = _faults(found)
    if as_json:
        show_json(
            {
                "actions": len(automaton.actions),
                "findings": [
                    {"action": one.uid, "message": one.message, "warning": one.warning}
                    for one in found
                ],
                "estimate": None
                if cost is None
                else {"calls": cost.calls, "tokens": cost.tokens, "paths": cost.paths},
            }
        )
    else:
        for one in found:
            kind = Text("warning", "yellow") if one.warning else Text("fault", "bold red")
            show(Text.assemble(kind, f"  {one.where}: {one.message}"))
        facts = [("actions", str(len(automaton.actions)))]
        if automaton.inputs:
            facts.append(
                ("inputs", ", ".join(f"{k} ({v.type})" for k, v in automaton.inputs.items()))
            )
        if cost is not None:
            most = "more than " if cost.partial else "at most "
            facts.append(("model calls", f"{most}{cost.calls}"))
            facts.append(("tokens", f"{most}{cost.tokens}{_unknown(automaton)}"))
            facts.append(("paths", f"{most}{cost.paths}"))
        facts.append(("result", _verdict(faults, found)))
        show(facts_table([(name, Text(text)) for name, text in facts]))
    if faults:
        raise typer.Exit(2)


def _unknown(automaton: Automaton) -> str:
    return ", and what is put into the templates (--set tells)" if automaton.inputs else ""


def _verdict(faults: list[Finding], found: list[Finding]) -> str:
    if faults:
        return f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'}"
    if found:
        return f"runs, with {len(found)} {'warning' if len(found) == 1 else 'warnings'}"
    return "no faults"
