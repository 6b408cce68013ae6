"""Which actions can follow each other on a path, and which fields a path can set several times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from autocog_core.automaton.actions import Action, Ask

#: A field, and for answers of a group with `for_each`, the name of their action.
_Field = tuple[str, str | None]


def repeated_fields(actions: Sequence[Action]) -> dict[str, tuple[str, ...]]:
    """Return after which actions a path can still set the field of an action.

    It has the actions whose field a path can set several times: one of them can lead to another.
    For an answer of a group with `for_each`, it is the answer for one item that counts.

    :param actions: the actions of an automaton without errors.
    :returns: by the uid of such an action, the uids of all actions that can lead to its field.
    """
    has_loop = any(action.max_visits is not None for action in all_steps(actions))
    repeated: dict[str, tuple[str, ...]] = {}
    for setters in _setters(actions).values():
        if len(setters) == 1 and not has_loop:
            continue
        uids = {action.uid for action in setters}
        leading = uids_before(actions, uids)
        if leading & uids:
            repeated.update(dict.fromkeys(sorted(uids), tuple(sorted(leading))))
    return repeated


def next_uids(action: Action, groups: Sequence[Ask]) -> Iterator[str]:
    """Yield the actions that can follow on a path, which has the questions of a group in a row.

    :param action: an action, maybe of a question.
    :param groups: the groups of the automaton.
    """
    yield from action.successors
    for group in groups:
        questions = group.first_questions
        own = [
            index
            for index, question in enumerate(questions)
            if any(step.uid == action.uid for step in question)
        ]
        if group is action or own:
            yield from group.successors
            later = questions[own[0] + 1 :] if own else questions
            yield from (step.uid for question in later for step in question)


def all_steps(actions: Sequence[Action]) -> Iterator[Action]:
    """Yield the actions, each group followed by the actions of its questions for one item."""
    for action in actions:
        yield action
        if isinstance(action, Ask):
            yield from (step for question in action.first_questions for step in question)


def _setters(actions: Sequence[Action]) -> Mapping[_Field, list[Action]]:
    """Return the actions that set each field."""
    setters: defaultdict[_Field, list[Action]] = defaultdict(list)
    for action in actions:
        if not isinstance(action, Ask):
            if action.name is not None:
                setters[action.name, None].append(action)
            continue
        for step in (step for question in action.first_questions for step in question):
            if step.name is None:
                continue
            if action.for_each is None:
                setters[step.name, None].append(step)
            elif action.name is not None:
                setters[action.name, step.name].append(step)
    return setters


def uids_before(actions: Sequence[Action], uids: set[str]) -> set[str]:
    """Return the actions from which a path can go on to one of some actions.

    :param actions: the actions of an automaton without errors.
    :param uids: the uids of some of them, or of actions of questions.
    """
    groups = [action for action in actions if isinstance(action, Ask)]
    previous: defaultdict[str, set[str]] = defaultdict(set)
    for action in all_steps(actions):
        for uid in next_uids(action, groups):
            previous[uid].add(action.uid)
    leading: set[str] = set()
    open_uids = list(uids)
    while open_uids:
        for uid in previous[open_uids.pop()]:
            if uid not in leading:
                leading.add(uid)
                open_uids.append(uid)
    return leading
