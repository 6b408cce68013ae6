"""Filling in an automaton's templates from its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autocog_core.automaton.actions import Action, Choose, Text
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.errors import InputError
from autocog_core.types.prompt import Prompt, TextPiece


def templates_of(action: Action) -> Iterator[Template | Each]:
    """What is to be filled in."""
    match action:
        case Text(text=Template() as template):
            yield template
        case Choose(choices=choices):
            yield from (one for one in choices if not isinstance(one, str))


#: Characters that all texts of an automaton may have together.
MOST_CHARACTERS = 50_000_000


def fill_all_templates(actions: Sequence[Action], values: Mapping[str, Any]) -> list[Action]:
    """The actions without templates.

    :raises InputError: where a template does not fit the values, or all are too long together.
    """
    found = []
    left = MOST_CHARACTERS
    for action in actions:
        found.append(bound(action, values))
        left -= _size(found[-1])
        if left < 0:
            raise InputError(
                f"the texts have more than {MOST_CHARACTERS} characters together",
                where="automaton",
            )
    return found


def bound(action: Action, values: Mapping[str, Any]) -> Action:
    """The action without templates.

    :raises InputError: naming the action, where a template does not fit the values.
    """
    try:
        match action:
            case Text(text=Template() as template):
                return replace(action, text=template.render(values))
            case Choose() if any(not isinstance(one, str) for one in action.choices):
                return _bound_choices(action, values)
    except InputError as error:
        raise InputError(
            f"{error.where}: {error.message}", where=f'action "{action.uid}"', hint=error.hint
        ) from error
    return action


def _bound_choices(action: Choose, values: Mapping[str, Any]) -> Choose:
    choices: list[str] = []
    successors: list[str] = []
    several = len(action.successors) > 1
    for number, choice in enumerate(action.choices):
        match choice:
            case str():
                found: tuple[str, ...] = (choice,)
            case Template():
                found = (choice.text(values),)
            case Each():
                found = choice.render(values)
        choices += found
        if several:
            successors += [action.successors[number]] * len(found)
    if not several:
        return replace(action, choices=tuple(choices))
    return replace(action, choices=tuple(choices), successors=tuple(successors))


def _size(action: Action) -> int:
    match action:
        case Text(text=str() as text):
            return len(text)
        case Text(text=Prompt(pieces)):
            return sum(len(piece.text) for piece in pieces if isinstance(piece, TextPiece))
        case Choose(choices=choices):
            return sum(len(choice) for choice in choices if isinstance(choice, str))
    return 0
