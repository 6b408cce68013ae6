"""Fill in an automaton's templates from its inputs, and those over fields from a path's fields."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from itertools import islice
from operator import or_
from typing import TYPE_CHECKING, Any, TypeGuard

from autocog_core.automaton.actions import Action, Ask, Choose, Messages, Text
from autocog_core.automaton.choices import Choice, texts_of
from autocog_core.automaton.templates.for_each import ForEach
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.errors import InputError, shorten
from autocog_core.types.prompt import Prompt, TextPiece

if TYPE_CHECKING:
    from autocog_core.automaton.templates.field_values import FieldUses

#: Characters of all texts of an automaton together.
MAX_CHARACTERS = 50_000_000


def iterate_templates(action: Action) -> Iterator[Template | Each | ForEach]:
    """Yield the templates of an action, without those of a group's questions."""
    match action:
        case Text(text=Template() as template):
            yield template
        case Messages(messages=messages):
            for message in messages:
                if isinstance(message.content, Template):
                    yield message.content
        case Choose(choices=choices):
            for choice in choices:
                parts = choice.texts if isinstance(choice, Choice) else (choice,)
                yield from (part for part in parts if isinstance(part, Template | Each))
        case Ask(for_each=ForEach() as for_each, items=None):
            yield for_each


def find_field_uses(action: Action) -> FieldUses | None:
    """Return the fields that an action's templates use, or None if they use none.

    :raises InputError: naming the action, if a template is not valid.
    """
    with _naming(action):
        uses = [template.fields for template in iterate_templates(action) if template.fields.names]
    return reduce(or_, uses) if uses else None


def fill_all_templates(
    actions: Sequence[Action], values: Mapping[str, Any], uids_with_fields: Container[str]
) -> list[Action]:
    """Return the actions with their templates filled in.

    :param actions: the actions.
    :param values: the values of the inputs, by name.
    :param uids_with_fields: the actions that stay, because their templates use fields.
    :raises InputError: if a template does not fit the values, or the texts are too long together.
    """
    return _within_limit(_fill_action(action, values, uids_with_fields) for action in actions)


def _within_limit(actions: Iterable[Action]) -> list[Action]:
    """Return actions whose texts are not too long together."""
    filled = []
    characters_left = MAX_CHARACTERS
    for action in actions:
        filled.append(action)
        characters_left -= count_characters(action)
        if characters_left < 0:
            raise InputError(
                f"the texts have more than {MAX_CHARACTERS} characters together",
                where="automaton",
                hint="shorten the inputs",
            )
    return filled


def fill_templates(action: Action, values: Mapping[str, Any]) -> Action:
    """Return the action with its templates filled in.

    :param values: the values of the inputs by name, and the `fields` if its templates use them.
    :raises InputError: naming the action, if a template does not fit the values.
    """
    with _naming(action):
        match action:
            case Text(text=Template() as template):
                tail = action.constant_tail
                return replace(
                    action,
                    text=template.render(values),
                    # The filled text does not show any more where its last value ends.
                    constant_tail=template.constant_tail if tail is None else tail,
                )
            case Messages(messages=messages):
                contents = (_fill_text(message.content, values) for message in messages)
                filled = (
                    replace(message, content=content)
                    for message, content in zip(messages, contents, strict=True)
                )
                return replace(action, messages=tuple(filled))
            case Choose() if any(not isinstance(choice, str) for choice in action.choices):
                return _fill_choices(action, values)
    return action


@contextmanager
def _naming(action: Action) -> Iterator[None]:
    """Name the action in the error of a template."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"{error.where}: {error.message}", where=f'action "{action.uid}"', hint=error.hint
        ) from error


def _fill_action(
    action: Action, values: Mapping[str, Any], uids_with_fields: Container[str]
) -> Action:
    match action:
        case Ask(for_each=ForEach() as for_each, items=None):
            with _naming(action):
                items = for_each.render(values)
                all_values: dict[str | None, Mapping[str, Any]] = {
                    key: {**values, for_each.name: item} for key, item in items.items()
                }
                questions = _fill_questions(action, all_values, uids_with_fields)
            return replace(action, questions=questions, items=items)
        case Ask():
            with _naming(action):
                questions = _fill_questions(action, {None: values}, uids_with_fields)
            return replace(action, questions=questions)
    return action if action.uid in uids_with_fields else fill_templates(action, values)


def _fill_questions(
    group: Ask,
    all_values: Mapping[str | None, Mapping[str, Any]],
    uids_with_fields: Container[str],
) -> tuple[tuple[Action, ...], ...]:
    """Return a group's questions with the values of the first item, with those of the second, ...

    :param all_values: the values by the name of their item; None for a group without items.
    """
    questions = [(question, item) for item in all_values for question in group.questions]
    filled = iter(
        _within_limit(
            _fill_step(step, item, all_values[item], uids_with_fields)
            for question, item in questions
            for step in question
        )
    )
    return tuple(tuple(islice(filled, len(question))) for question, _ in questions)


def _fill_step(
    step: Action, item: str | None, values: Mapping[str, Any], uids_with_fields: Container[str]
) -> Action:
    try:
        return _fill_action(step, values, uids_with_fields)
    except InputError as error:
        if item is None:
            raise
        where = f'item "{shorten(item)}": {error.where}'
        raise InputError(error.message, where=where, hint=error.hint) from error


def _fill_choices(action: Choose, values: Mapping[str, Any]) -> Choose:
    choices: list[str | Choice] = []
    successors: list[str] = []
    has_own_successors = len(action.successors) > 1
    for index, choice in enumerate(action.choices):
        match choice:
            case str():
                filled: tuple[str | Choice, ...] = (choice,)
            case Template():
                filled = (choice.text(values),)
            case Choice(texts=texts, value=value):
                filled = (Choice(texts=[_fill_text(text, values) for text in texts], value=value),)
            case Each():
                filled = tuple(
                    Choice(texts=texts, value=value) for texts, value in choice.render(values)
                )
        choices += filled
        if has_own_successors:
            successors += [action.successors[index]] * len(filled)
    if not has_own_successors:
        return replace(action, choices=tuple(choices))
    return replace(action, choices=tuple(choices), successors=tuple(successors))


def _fill_text(text: str | Template, values: Mapping[str, Any]) -> str:
    return text if isinstance(text, str) else text.text(values)


def _is_text(content: object) -> TypeGuard[str]:
    return isinstance(content, str)


def count_characters(action: Action) -> int:
    """Return the number of characters of an action's text and choices, without its templates."""
    match action:
        case Text(text=str() as text):
            return len(text)
        case Text(text=Prompt(pieces)):
            return sum(len(piece.text) for piece in pieces if isinstance(piece, TextPiece))
        case Messages(messages=messages):
            return sum(len(message.content) for message in messages if _is_text(message.content))
        case Choose(choices=choices):
            return sum(len(text) for choice in choices for text in texts_of(choice))
        case Ask(questions=questions):
            return sum(count_characters(each) for question in questions for each in question)
    return 0
