"""What may follow a text in a record, as a regular expression."""

from __future__ import annotations

from collections.abc import Mapping

from autocog_core.automaton.actions import Action, Choose, Text
from autocog_core.automaton.choices import texts_of
from autocog_core.constraints.language import ANYTHING
from autocog_core.records.rust_regex import any_of, escape

#: Characters of the text that follows. Tokens that run on further may go on as they like.
MAX_CHARACTERS = 32
#: With more choices, what comes after each is left open.
_MAX_OPEN_CHOICES = 8
_MAX_CHOICES_IN_A_ROW = 3


def following_regex(actions: Mapping[str, Action], uid: str | None) -> str:
    """Return an expression of what may follow; "" if the record ends at once.

    :param actions: the actions by uid.
    :param uid: the action that comes next.
    """
    regex = _ahead(actions, uid, MAX_CHARACTERS, 0)
    return "" if regex == ANYTHING else regex


def _ahead(actions: Mapping[str, Action], uid: str | None, left: int, choices: int) -> str:
    action = actions.get(uid) if uid is not None else None
    match action:
        case Text(text=str() as text) if len(text) < left:
            target = next(iter(action.successors), None)
            return escape(text) + _ahead(actions, target, left - len(text), choices)
        case Text(text=str() as text):
            return escape(text[:left]) + ANYTHING
        case Choose():
            texts = [texts_of(choice)[0] for choice in action.choices]
            targets = list(action.successors)
            if len(targets) == 1:
                targets *= len(texts)
            is_open = len(texts) > _MAX_OPEN_CHOICES or choices >= _MAX_CHOICES_IN_A_ROW
            return any_of(
                escape(text[:left])
                + (
                    ANYTHING
                    if is_open or len(text) >= left or not targets
                    else _ahead(actions, targets[index], left - len(text), choices + 1)
                )
                for index, text in enumerate(texts)
            )
        case _:
            return ANYTHING
