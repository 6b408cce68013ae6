"""Fill in an automaton's templates from its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autocog_core.automaton.actions import Action, Choose, Text
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.errors import InputError
from autocog_core.types.prompt import Prompt, TextPiece

#: Characters of all texts of an automaton together.
MAX_CHARACTERS = 50_000_000


def iterate_templates(action: Action) -> Iterator[Template | Each]:
    """Yield the templates of an action."""
    match action:
        case Text(text=Template() as template):
            yield template
        case Choose(choices=choices):
            yield from (choice for choice in choices if not isinstance(choice, str))


def fill_all_templates(actions: Sequence[Action], values: Mapping[str, Any]) -> list[Action]:
    """Return the actions with their templates filled in.

    :param values: the values of the inputs, by name.
    :raises InputError: if a template does not fit the values, or the texts are too long together.
    """
    filled = []
    characters_left = MAX_CHARACTERS
    for action in actions:
        filled.append(fill_templates(action, values))
        characters_left -= _count_characters(filled[-1])
        if characters_left < 0:
            raise InputError(
                f"the texts have more than {MAX_CHARACTERS} characters together",
                where="automaton",
                hint="shorten the inputs",
            )
    return filled


def fill_templates(action: Action, values: Mapping[str, Any]) -> Action:
    """Return the action with its templates filled in.

    :param values: the values of the inputs, by name.
    :raises InputError: naming the action, if a template does not fit the values.
    """
    try:
        match action:
            case Text(text=Template() as template):
                return replace(action, text=template.render(values))
            case Choose() if any(not isinstance(choice, str) for choice in action.choices):
                return _fill_choices(action, values)
    except InputError as error:
        raise InputError(
            f"{error.where}: {error.message}", where=f'action "{action.uid}"', hint=error.hint
        ) from error
    return action


def _fill_choices(action: Choose, values: Mapping[str, Any]) -> Choose:
    choices: list[str] = []
    successors: list[str] = []
    has_own_successors = len(action.successors) > 1
    for index, choice in enumerate(action.choices):
        match choice:
            case str():
                texts: tuple[str, ...] = (choice,)
            case Template():
                texts = (choice.text(values),)
            case Each():
                texts = choice.render(values)
        choices += texts
        if has_own_successors:
            successors += [action.successors[index]] * len(texts)
    if not has_own_successors:
        return replace(action, choices=tuple(choices))
    return replace(action, choices=tuple(choices), successors=tuple(successors))


def _count_characters(action: Action) -> int:
    match action:
        case Text(text=str() as text):
            return len(text)
        case Text(text=Prompt(pieces)):
            return sum(len(piece.text) for piece in pieces if isinstance(piece, TextPiece))
        case Choose(choices=choices):
            return sum(len(choice) for choice in choices if isinstance(choice, str))
    return 0
