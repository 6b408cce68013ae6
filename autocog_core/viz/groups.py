"""Groups of questions in a drawing: the questions leave their group, and meet where it ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from autocog_core.automaton.actions import Action, Ask


@dataclass(frozen=True, kw_only=True)
class Join(Action):
    """The place where the questions of a group meet."""

    kind = "join"


def draw_groups(actions: Sequence[Action]) -> list[Action]:
    """Return the actions to draw: a group leads to its questions, and these to a `Join`.

    :param actions: the actions of an automaton.
    """
    taken = {action.uid for action in actions}
    return [drawn for action in actions for drawn in _draw(action, taken)]


def _draw(action: Action, taken: set[str]) -> Iterator[Action]:
    questions = action.first_questions if isinstance(action, Ask) else ()
    starts = tuple(question[0].uid for question in questions if question)
    if not starts:
        yield action
        return
    uid = f"{action.uid} joined"
    while uid in taken:
        uid += "'"
    yield replace(action, successors=starts)
    for question in questions:
        yield from (_lead_to(step, uid) for step in question)
    yield Join(uid=uid, successors=action.successors)


def _lead_to(step: Action, uid: str) -> Action:
    """Return an action of a question; where the question would end, it leads to `uid`."""
    return step if step.successors else replace(step, successors=(uid,))
