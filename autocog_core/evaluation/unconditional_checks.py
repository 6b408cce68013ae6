"""Whether a choice by the norm "pmi" has an unconditional prompt on a model."""

from __future__ import annotations

from collections.abc import Iterator

from autocog_core.automaton.actions import Choose
from autocog_core.automaton.checks.finding import Finding
from autocog_core.automaton.constant_tails import find_texts_before
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.hooks.client import BackendClient


def uses_constant_tail(action: Choose, client: BackendClient) -> bool:
    """Return whether the constant text before the choices takes the place of the prompt."""
    return action.norm == "pmi" and not action.unconditional_prompt and not client.info.adds_bos


def check_unconditional_prompt(
    automaton: AutomatonGraph, action: Choose, client: BackendClient, *, is_question: bool
) -> Iterator[Finding]:
    """Report a choice by pmi that a path reaches without constant text before it, or with only it.

    :param automaton: an automaton whose successors exist.
    :param is_question: whether it is a question of a group, which continues other text.
    """
    if not uses_constant_tail(action, client):
        return
    texts = find_texts_before(automaton, action)
    problem = ""
    if texts.may_be_empty:
        problem = "no constant text stands directly before its choices"
    elif texts.may_be_whole and not is_question:
        problem = "all text before its choices is constant"
    if problem:
        yield Finding.at_action(
            f"it ranks by pmi, the model adds no BOS, and {problem}: give unconditional_prompt",
            action,
        )
