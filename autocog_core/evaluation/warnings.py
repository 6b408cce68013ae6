"""Warnings about an automaton, and errors that only a model's tokens show."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import TYPE_CHECKING

from autocog_core.advice.codes import WarningCode
from autocog_core.advice.issue import warn
from autocog_core.automaton.actions import Ask, Choose, Complete, Messages, Text
from autocog_core.automaton.binding import iterate_templates
from autocog_core.automaton.checks.finding import Finding
from autocog_core.automaton.checks.graph_checks import loops_of_texts
from autocog_core.errors import InputError, shorten
from autocog_core.evaluation.constraint_length import check_constraint_length
from autocog_core.evaluation.joint_warnings import (
    check_likeliest_tokens,
    joint_warnings,
    known_choices,
)
from autocog_core.evaluation.token_warnings import (
    check_prefixes,
    check_question,
    check_special_tokens,
    check_stops,
    check_token_set,
)
from autocog_core.evaluation.unconditional_checks import check_unconditional_prompt
from autocog_core.hooks.automaton_run import MAX_PATH_NODES
from autocog_core.scoring.choice_lengths import length_warning
from autocog_core.types.choice import NORMS

if TYPE_CHECKING:
    from autocog_core.automaton.graph import AutomatonGraph
    from autocog_core.hooks.client import BackendClient


def find_warnings(
    automaton: AutomatonGraph,
    errors: Sequence[Finding],
    client: BackendClient | None,
) -> Iterator[Finding]:
    """Yield warnings, and with a model also errors that depend on its tokens.

    :param automaton: the automaton.
    :param errors: its errors; actions with errors are not checked with the model.
    :param client: the main model's client; actions on other models are not checked with it.
    """
    uids_with_errors = {error.uid for error in errors}
    yield from unused_inputs(automaton)
    for graph in _with_questions(automaton):
        yield from _check_length_of_paths(graph, uids_with_errors)
        yield from cheap_warnings(graph)
        for action in graph.actions:
            is_checkable = action.model is None and action.uid not in uids_with_errors
            model = client if is_checkable else None
            match action:
                case Text() if model is not None:
                    yield from check_special_tokens(action, model)
                    yield from check_question(graph, action, model)
                    yield from check_likeliest_tokens(graph, action, model)
                case Choose():
                    yield from check_prefixes(action, model)
                    if model is not None and not errors:
                        yield from check_unconditional_prompt(
                            graph, action, model, is_question=graph is not automaton
                        )
                case Complete() if model is not None:
                    yield from check_stops(action, model)
                    yield from check_token_set(graph, action, model)
                    yield from check_constraint_length(action, model)


def cheap_warnings(automaton: AutomatonGraph) -> Iterator[Finding]:
    """Yield the warnings about single actions and their neighbors, which need no model.

    :param automaton: the automaton; a question of a group is one of its own.
    """
    for action in automaton.actions:
        if action.is_fresh and not isinstance(action, Text | Messages):
            yield Finding.warning_at(
                WarningCode.FRESH_WITHOUT_TEXT,
                "begins a new text, and has no prompt: give `context: fresh` to a text before it",
                action,
            )
        yield from joint_warnings(automaton, action)
        if isinstance(action, Choose) and (
            message := length_warning(known_choices(action), action.norm)
        ):
            yield Finding.warning_at(WarningCode.CHOICE_LENGTHS_DIFFER, message, action)
        if isinstance(action, Choose) and _is_norm_without_effect(action):
            yield Finding.warning_at(
                WarningCode.NORM_WITHOUT_EFFECT,
                f"the norm {action.norm} does not decide: several choices continue, and the best "
                "path is the one with the highest joint log-probability; leave out the width",
                action,
            )


def _is_norm_without_effect(action: Choose) -> bool:
    """Return whether the run compares paths where a norm other than "sum" compared choices."""
    has_norm = action.norm in NORMS and action.norm != "sum"
    return has_norm and (action.width is None or action.width > 1)


def unused_inputs(automaton: AutomatonGraph) -> Iterator[Finding]:
    """Yield a warning for each input that no template uses."""
    if not automaton.inputs:
        return
    used: set[str] = set()
    try:
        for action in automaton.all_actions:
            for template in iterate_templates(action):
                used |= template.names
    except InputError:
        # An error of the template, which is reported.
        return
    for name in automaton.inputs:
        if name not in used:
            yield Finding(
                message=f'no template uses the input "{shorten(name)}": write '
                f"{{{{ {shorten(name)} }}}} in a text, or remove it",
                where="inputs",
                warning=True,
                code=WarningCode.UNUSED_INPUT,
            )


def issue_warnings(
    automaton: AutomatonGraph,
    bound: AutomatonGraph,
    client: BackendClient,
    digest: str,
) -> None:
    """Issue the warnings about a run that cost no call of the engine, each once for a program.

    :param automaton: the automaton.
    :param bound: the same with its templates filled in. Of many rows, the first one counts.
    :param client: the main model's client.
    :param digest: the program's hash.
    """
    findings: list[Finding] | None = automaton.__dict__.get("_warnings_of_run")
    if findings is None:
        findings = [*unused_inputs(automaton)]
        for action in automaton.all_actions:
            if isinstance(action, Text) and action.model is None:
                findings += check_special_tokens(action, client)
        for graph in _with_questions(bound):
            findings += cheap_warnings(graph)
            for action in graph.actions:
                if isinstance(action, Text) and action.model is None:
                    findings += check_question(graph, action, client)
        automaton.__dict__["_warnings_of_run"] = findings
    for finding in findings:
        warn(
            WarningCode(finding.code),
            finding.message,
            where=finding.where,
            place=(digest, finding.where),
        )


def _with_questions(automaton: AutomatonGraph) -> Iterator[AutomatonGraph]:
    """Yield an automaton, and the questions of its groups as automata of their own."""
    yield automaton
    for action in automaton.actions:
        if isinstance(action, Ask):
            yield from automaton.question_graphs(action)[: len(action.first_questions)]


def _check_length_of_paths(
    automaton: AutomatonGraph, uids_with_errors: Container[object]
) -> Iterator[Finding]:
    """Warn about loops that nothing decides, and about paths that a run would cut."""
    for action in automaton.actions:
        visits = action.max_visits
        if visits is not None and visits > MAX_PATH_NODES and action.uid not in uids_with_errors:
            yield Finding.warning_at(
                WarningCode.MAX_VISITS_TOO_LARGE,
                f"max_visits is {visits:,}: a run ends after {MAX_PATH_NODES:,} nodes of a path",
                action,
            )
    has_unknown_successors = any(
        uid not in automaton.own_uids for action in automaton.actions for uid in action.successors
    )
    for action in () if has_unknown_successors else loops_of_texts(automaton):
        yield Finding.warning_at(
            WarningCode.LOOP_OF_TEXTS,
            "is on a loop of texts alone, which no choice can leave: write the text out, or add a "
            "Choose",
            action,
        )
