"""Runs that read only what proves the best choice of each action (`probs="winner"`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from autocog_core.automaton.actions import Action, Ask, Choose
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import InputError

#: "all": the probabilities of all choices. "winner": each action with one branch has `top` 1.
ChoiceProbs = Literal["all", "winner"]


def require_winners(automaton: AutomatonGraph, probs: ChoiceProbs) -> None:
    """Check that a run can read only the best choices.

    :param automaton: the program.
    :param probs: which probabilities the run has.
    :raises InputError: for other `probs`; naming all actions that follow several choices, or
        compare probabilities with a threshold, and all templates that use one.
    """
    if probs not in ("all", "winner"):
        raise InputError(f"{probs!r} is unknown", where="probs", hint="one of all, winner")
    if probs == "all":
        return
    errors = [*_threshold_errors(automaton), *_template_errors(automaton)]
    if errors:
        raise InputError(
            "winner reads only the best choices: " + "; ".join(errors),
            where="probs",
            hint="leave out probs winner, or give the other choices top",
        )


def with_winners(automaton: AutomatonGraph, probs: ChoiceProbs) -> AutomatonGraph:
    """Return the automaton whose choices have `top` 1, unless they have one already.

    :param automaton: an automaton that `require_winners` accepts.
    :param probs: which probabilities the run has; "all" leaves the automaton as it is.
    """
    if probs == "all":
        return automaton
    return type(automaton)(
        _with_winners(automaton.actions),
        automaton.vocabs,
        automaton.inputs,
        description=automaton.description,
        metadata=automaton.metadata,
    )


def fields_with_prob(automaton: AutomatonGraph) -> Iterator[tuple[str, str]]:
    """Yield each action whose templates use the share of a field, by its uid, and the field."""
    for uid, uses in automaton.field_uses.items():
        for name in sorted(uses.probs):
            yield uid, name


def _with_winners(actions: Iterable[Action]) -> list[Action]:
    changed: list[Action] = []
    for action in actions:
        match action:
            case Choose() if action.top is None:
                changed.append(action.as_winner)
            case Ask():
                questions = tuple(tuple(_with_winners(question)) for question in action.questions)
                changed.append(replace(action, questions=questions))
            case _:
                changed.append(action)
    return changed


def _threshold_errors(automaton: AutomatonGraph) -> Iterator[str]:
    for action in automaton.all_actions:
        if not isinstance(action, Choose) or action.top is not None:
            continue
        if action.width != 1:
            width = "null" if action.width is None else action.width
            yield f'action "{action.uid}" follows several choices (width {width})'
        if action.threshold > 0:
            yield f'action "{action.uid}" has a threshold ({action.threshold:g})'


def _template_errors(automaton: AutomatonGraph) -> Iterator[str]:
    for uid, name in fields_with_prob(automaton):
        if any(isinstance(a, Choose) for a in automaton.all_actions if a.name == name):
            yield f'a template of action "{uid}" uses fields.{name}.prob'
