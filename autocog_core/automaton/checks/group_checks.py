"""Checks of groups: their questions, and the fields that these set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from autocog_core.automaton.actions import Action, Ask, Choose, Complete
from autocog_core.automaton.checks.finding import Finding
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.templates.template import RESERVED_NAMES
from autocog_core.errors import shorten

#: Names that templates have already: for an item of `choices`, and for earlier answers.
_TAKEN_NAMES = RESERVED_NAMES | {"item", "index", "fields"}


def check_groups(automaton: AutomatonGraph) -> Iterator[Finding]:
    """Yield the errors of all groups of an automaton."""
    field_counts = Counter(
        action.name for action in automaton.actions if action.name is not None
    ) + Counter(
        name
        for action in automaton.actions
        if isinstance(action, Ask) and action.for_each is None
        for name in action.names
    )
    for action in automaton.actions:
        if isinstance(action, Ask):
            for message in _check_group(action, automaton, field_counts):
                yield Finding.at_action(message, action)
            for question in action.questions:
                for step in question:
                    for message in _check_step(step):
                        yield Finding.at_action(message, step)


def _check_group(
    action: Ask, automaton: AutomatonGraph, field_counts: Counter[str]
) -> Iterator[str]:
    if action.model is not None:
        yield "a group has no model: give `model` to the actions of its questions"
    if action.is_fresh:
        yield "a group has no text: give `context: fresh` to the first actions of its questions"
    if not action.questions and action.items is None:
        yield "has no questions: give at least one"
    if not all(action.questions):
        yield "has an empty question: give it actions, or remove it"
    if action.for_each is None:
        yield from _check_names(action)
        return
    yield from _check_item_name(action.for_each.name, automaton)
    if action.name is None and action.names:
        yield "for_each needs a `name`: the field for the answers, by item"
    if action.name is not None and field_counts[action.name] > 1:
        yield f'another action has the name "{shorten(action.name)}" too: choose another one'
    if action.name is not None and not action.names and action.items is None:
        yield "no action of its questions has a name: name the one that is the answer"
    for name in action.names:
        if field_counts[name]:
            yield (
                f'the field "{shorten(name)}" of its questions is also a field outside: rename it'
            )
    if action.items is None:
        yield from _check_repeated(action)


def _check_names(action: Ask) -> Iterator[str]:
    if action.name is not None:
        yield "a group has no text: give `name` to the actions of its questions"
    yield from _check_repeated(action)


def _check_repeated(action: Ask) -> Iterator[str]:
    """Yield the fields that several questions set: each question has its own."""
    questions_by_name = Counter(
        name
        for question in action.questions
        for name in {step.name for step in question if step.name is not None}
    )
    for name, count in sorted(questions_by_name.items()):
        if count > 1:
            yield f'{count} of its questions set the field "{shorten(name)}": rename all but one'


def _check_item_name(name: str, automaton: AutomatonGraph) -> Iterator[str]:
    if name in automaton.inputs:
        yield f'for_each: an input has the name "{shorten(name)}" too: choose another one for `as`'
    elif name in _TAKEN_NAMES:
        yield f'for_each: the name "{name}" is reserved in templates: choose another one for `as`'
    elif not name.isidentifier() or name.startswith("_"):
        yield (
            f'for_each: "{shorten(name)}" is not a valid name: for `as`, use letters, digits and '
            '"_", and begin with a letter'
        )


def _check_step(step: Action) -> Iterator[str]:
    """Yield the errors of an action because it belongs to a question."""
    if isinstance(step, Ask):
        yield "is a group inside a question: give it a place outside, before or after the group"
    if isinstance(step, Choose | Complete) and step.width != 1:
        width = "null" if step.width is None else step.width
        yield f"width is {width}: a question follows its best branch only, so remove width"
