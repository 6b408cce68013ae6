"""`autocog check`: the errors of a program, and the maximum cost of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from autocog_core.cli.loading import ModelOptions
from autocog_core.cli.options import AsJson, ProgramFile, ProgramValues
from autocog_core.cli.output import facts_table, show, show_json
from autocog_core.cli.run_values import input_values

if TYPE_CHECKING:
    from autocog_core import Automaton
    from autocog_core.automaton import Finding
    from autocog_core.evaluation.cost_estimate import CostEstimate


def check(
    program: ProgramFile,
    *,
    values: ProgramValues = None,
    as_json: AsJson = False,
    model_options: ModelOptions,
) -> None:
    """Check a program for errors, without running it.

    With a model (-m or --backend), also find errors that depend on its tokens, and print the
    maximum number of model calls and tokens of a run. The numbers include the texts of inputs only
    if you set them (--set). Exit code 2 if the program has errors.
    """
    from autocog_core import Automaton
    from autocog_core.evaluation.cost_estimate import estimate_cost

    automaton = Automaton.from_file(program)
    if values:
        automaton = automaton.bind(input_values(automaton, values))
    cost = None
    if model_options.model is None and model_options.backend is None:
        findings = automaton.check()
    else:
        with model_options.open() as model:
            findings = automaton.check(model)
            if not _errors(findings):
                cost = estimate_cost(automaton, model.client)
    if as_json:
        _show_json(automaton, findings, cost)
    else:
        _show_report(automaton, findings, cost, is_bound=bool(values))
    if _errors(findings):
        raise typer.Exit(2)


def _errors(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if not finding.warning]


def _show_json(automaton: Automaton, findings: list[Finding], cost: CostEstimate | None) -> None:
    show_json(
        {
            "actions": len(automaton.actions),
            "findings": [
                {"action": finding.uid, "message": finding.message, "warning": finding.warning}
                for finding in findings
            ],
            "estimate": None
            if cost is None
            else {"calls": cost.calls, "tokens": cost.tokens, "paths": cost.paths},
        }
    )


def _show_report(
    automaton: Automaton, findings: list[Finding], cost: CostEstimate | None, *, is_bound: bool
) -> None:
    for finding in findings:
        label = Text("warning", "yellow") if finding.warning else Text("error", "bold red")
        show(Text.assemble(label, f"  {finding.where}: {finding.message}"))
    facts = _facts(automaton, findings, cost, is_bound=is_bound)
    show(facts_table((name, Text(value)) for name, value in facts))


def _facts(
    automaton: Automaton, findings: list[Finding], cost: CostEstimate | None, *, is_bound: bool
) -> Iterator[tuple[str, str]]:
    yield "actions", str(len(automaton.actions))
    if automaton.inputs and not is_bound:
        inputs = (f"{name} ({declared.type})" for name, declared in automaton.inputs.items())
        yield "inputs", ", ".join(inputs)
    if cost is not None:
        bound = "more than" if cost.is_lower_bound else "at most"
        templates = "".join(
            f", plus the texts of {what}" for what in _uncounted(automaton, is_bound)
        )
        yield "model calls", f"{bound} {cost.calls}"
        yield "tokens", f"{bound} {cost.tokens}{templates}"
        yield "paths", f"{bound} {cost.paths}"
    yield "result", _verdict(findings)


def _uncounted(automaton: Automaton, is_bound: bool) -> Iterator[str]:
    """Yield which texts of templates the estimate does not count."""
    if automaton.inputs and not is_bound:
        yield "inputs (--set counts them)"
    if automaton.field_uses:
        yield "fields"


def _verdict(findings: list[Finding]) -> str:
    errors = len(_errors(findings))
    if errors:
        return f"{errors} error{'' if errors == 1 else 's'}"
    if findings:
        return f"no errors, {len(findings)} warning{'' if len(findings) == 1 else 's'}"
    return "no errors"
