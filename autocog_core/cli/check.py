"""`autocog check`: the errors of a program, and the maximum cost of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from autocog_core.advice.codes import WarningCode
from autocog_core.advice.issue import is_silenced
from autocog_core.cli.loading import ModelOptions
from autocog_core.cli.options import AsJson, ProgramFile, ProgramValues
from autocog_core.cli.output import facts_table, show, show_json
from autocog_core.cli.run_estimate import estimate_facts, estimate_run
from autocog_core.cli.run_models import ProgramModels
from autocog_core.cli.run_source import InputOptions
from autocog_core.cli.run_values import input_values
from autocog_core.cli.styles import BAD, CAUTION
from autocog_core.cli.text import Text
from autocog_core.cli.warning_lines import silence_configured
from autocog_core.errors import UsageError

if TYPE_CHECKING:
    from autocog_core import Automaton
    from autocog_core.automaton import Finding
    from autocog_core.dataset import RunEstimate
    from autocog_core.evaluation.cost_estimate import CostEstimate


def check(
    program: ProgramFile,
    *,
    values: ProgramValues = None,
    input_options: InputOptions,
    as_json: AsJson = False,
    model_options: ModelOptions,
) -> None:
    """Check a program for errors, without running it.

    With a model (-m or --backend), also find errors that depend on its tokens, and print the
    maximum number of model calls and tokens of a run. The numbers include the texts of inputs only
    if you set them (--set). With --input, print what a run over its rows takes; with a model, a few
    rows are run to measure the time. Exit code 2 if the program has errors.
    """
    from autocog_core import Automaton
    from autocog_core.evaluation.warnings import unused_inputs

    silence_configured(model_options.config)
    automaton = Automaton.from_file(program)
    given = input_values(automaton, values or (), is_stdin_used=input_options.is_stdin)
    if input_options.source is not None:
        from autocog_core.automaton.inputs import require_valid_values

        require_valid_values(automaton.inputs, given)
        findings, cost, estimate = _check_with_rows(automaton, given, input_options, model_options)
    else:
        if input_options.input_format is not None:
            raise UsageError("requires --input", where="--input-format")
        # Once they have values, inputs are no inputs any more.
        unused = unused_inputs(automaton) if given else ()
        automaton = automaton.bind(given) if given else automaton
        (findings, cost), estimate = _check_alone(automaton, model_options), None
        findings = [*unused, *findings]
    findings = [finding for finding in findings if not _is_silenced(finding)]
    if as_json:
        _show_json(automaton, findings, cost, estimate)
    else:
        _show_report(automaton, findings, cost, estimate, is_bound=bool(given) and estimate is None)
    if _errors(findings):
        raise typer.Exit(2)


def _check_alone(
    automaton: Automaton, model_options: ModelOptions
) -> tuple[list[Finding], CostEstimate | None]:
    """Check a program; with a model, also return the cost of one run."""
    from autocog_core.evaluation.cost_estimate import estimate_cost

    if model_options.model is None and model_options.backend is None:
        return automaton.check(), None
    with model_options.open() as model:
        findings = automaton.check(model)
        return findings, None if _errors(findings) else estimate_cost(automaton, model.client)


def _check_with_rows(
    automaton: Automaton,
    values: dict[str, Any],
    input_options: InputOptions,
    model_options: ModelOptions,
) -> tuple[list[Finding], CostEstimate | None, RunEstimate | None]:
    """Check a program and the rows for it; return also what a run over them takes."""
    from autocog_core.dataset import Run, check_columns, estimate_rows

    with input_options.open() as source:
        if model_options.model is None and model_options.backend is None:
            findings = automaton.check()
            if _errors(findings):
                return findings, None, None
            check_columns(source, automaton, values=values)
            return findings, None, estimate_rows(automaton, source, values)
        check_columns(source, automaton, values=values)
        program_models = ProgramModels.select(automaton, (), model_options)
        with program_models.open() as (main, others):
            findings = automaton.check(main)
            if _errors(findings):
                return findings, None, None
            job = Run(automaton, main, models=others, values=values)
            return findings, None, estimate_run(job, source)


def _errors(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if not finding.warning]


def _is_silenced(finding: Finding) -> bool:
    return finding.warning and is_silenced(WarningCode(finding.code))


def _show_json(
    automaton: Automaton,
    findings: list[Finding],
    cost: CostEstimate | None,
    estimate: RunEstimate | None,
) -> None:
    show_json(
        {
            "actions": len(automaton.actions),
            "findings": [
                {
                    "action": finding.uid,
                    "message": finding.message,
                    "warning": finding.warning,
                    "code": str(finding.code) if finding.warning else None,
                }
                for finding in findings
            ],
            "estimate": None
            if cost is None
            else {"calls": cost.calls, "tokens": cost.tokens, "paths": cost.paths},
            "rows": None if estimate is None else estimate.to_dict(),
        }
    )


def _show_report(
    automaton: Automaton,
    findings: list[Finding],
    cost: CostEstimate | None,
    estimate: RunEstimate | None,
    *,
    is_bound: bool,
) -> None:
    for finding in findings:
        label = Text("warning", CAUTION) if finding.warning else Text("error", BAD)
        code = f"{finding.code}: " if finding.warning else ""
        show(Text.assemble(label, f"  {code}{finding.where}: {finding.message}"))
    facts = [*_facts(automaton, cost, is_bound=is_bound)]
    if estimate is not None:
        facts += estimate_facts(estimate)
    facts.append(("result", _verdict(findings)))
    show(facts_table((name, Text(value)) for name, value in facts))


def _facts(
    automaton: Automaton, cost: CostEstimate | None, *, is_bound: bool
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
