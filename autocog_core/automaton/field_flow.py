"""Which fields a path has set when it reaches an action.

A data flow analysis of the graph, with sets of fields as bits of whole numbers. It knows nothing
of choices and visits: a path is any way through the graph.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from operator import and_, or_

from autocog_core.automaton.actions import Action, Ask


class FieldFlow:
    """The fields of some actions, all of whose successors exist.

    :param actions: the actions; every path starts at the first.
    :param names: the fields to follow.
    :param always: the fields that every path has set before the first action.
    :param sometimes: the fields that some path has set before it.
    """

    def __init__(
        self, actions: Sequence[Action], names: Collection[str], always: int = 0, sometimes: int = 0
    ) -> None:
        self._actions = actions
        self._by_uid = {action.uid: action for action in actions}
        self._bits = {name: 1 << index for index, name in enumerate(sorted(names))}
        groups = [action for action in actions if isinstance(action, Ask)]
        # What the questions of a group set themselves, by its uid: always, and sometimes.
        self._set_by_group = {group.uid: _set_by_questions(group, names) for group in groups}
        self._always = self._flow(always, every_path=True)
        self._sometimes = self._flow(sometimes, every_path=False)
        self._questions = {
            group.uid: [
                FieldFlow(
                    question,
                    names,
                    self._always.get(group.uid, ~0),
                    self._sometimes.get(group.uid, 0),
                )
                for question in group.first_questions
            ]
            for group in groups
        }

    def always_set(self, uid: str, name: str) -> bool:
        """Return whether every path to an action has set a field; true if no path leads to it."""
        flow, _ = self._find(uid)
        return bool(flow._always.get(uid, ~0) & self._bits[name])

    def _find(self, uid: str) -> tuple[FieldFlow, str | None]:
        """Return the flow of an action, and the group of its question, if it belongs to one."""
        if uid in self._by_uid:
            return self, None
        return next(
            (question, group)
            for group, questions in self._questions.items()
            for question in questions
            if uid in question._by_uid
        )

    def _at_end(self, *, every_path: bool) -> int:
        """Return the fields set where a path ends: on every path, or on some path."""
        before = self._always if every_path else self._sometimes
        ends = [
            before[action.uid] | self._set_by(action, every_path=every_path)
            for action in self._actions
            if not action.successors and action.uid in before
        ]
        return reduce(and_ if every_path else or_, ends, ~0 if every_path else 0)

    def repeated(self) -> frozenset[str]:
        """Return the fields that a path may set several times.

        Those of a group with `for_each` are fields of its questions alone: each has its own.
        """
        bits = 0
        for action in self._actions:
            bits |= self._sometimes.get(action.uid, 0) & self._set_by(action, every_path=False)
        own = frozenset(name for name, bit in self._bits.items() if bits & bit)
        questions = (
            flow
            for action in self._actions
            if isinstance(action, Ask) and action.for_each is None
            for flow in self._questions[action.uid]
        )
        return own.union(*(question.repeated() for question in questions))

    def path_without(self, uid: str, name: str) -> list[str]:
        """Return a shortest path to an action that does not set a field, as uids.

        :param uid: the action, to which such a path leads.
        :param name: the field.
        """
        flow, group = self._find(uid)
        if group is not None:
            return [*self.path_without(group, name), *flow.path_without(uid, name)]
        entry = self._actions[0].uid
        previous = {entry: ""}
        queue = deque([entry])
        while queue and uid not in previous:
            reached = queue.popleft()
            action = self._by_uid[reached]
            if self._set_by(action, every_path=True) & self._bits[name]:
                continue
            for successor in action.successors:
                if successor not in previous:
                    previous[successor] = reached
                    queue.append(successor)
        path = [uid]
        while previous[path[-1]]:
            path.append(previous[path[-1]])
        return path[::-1]

    def _flow(self, start: int, *, every_path: bool) -> Mapping[str, int]:
        """Return the fields set before each action: on every path to it, or on some path.

        :param start: the fields set before the first action.
        """
        merge = and_ if every_path else or_
        entry = self._actions[0]
        before = {entry.uid: start}
        queue = deque([entry.uid])
        waiting = {entry.uid}
        while queue:
            uid = queue.popleft()
            waiting.discard(uid)
            action = self._by_uid[uid]
            after = before[uid] | self._set_by(action, every_path=every_path)
            for successor in action.successors:
                known = before.get(successor)
                merged = after if known is None else merge(known, after)
                if merged != known:
                    before[successor] = merged
                    if successor not in waiting:
                        waiting.add(successor)
                        queue.append(successor)
        return before

    def _set_by(self, action: Action, *, every_path: bool) -> int:
        bits = self._bits.get(action.name, 0) if action.name is not None else 0
        always, sometimes = self._set_by_group.get(action.uid, (0, 0))
        return bits | (always if every_path else sometimes)


def _set_by_questions(group: Ask, names: Collection[str]) -> tuple[int, int]:
    """Return the fields that a group's questions set on every path, and on some path."""
    if group.for_each is not None:
        # Its answers are one field, that of the group.
        return 0, 0
    flows = [FieldFlow(question, names) for question in group.first_questions]
    return (
        reduce(or_, (flow._at_end(every_path=True) for flow in flows), 0),
        reduce(or_, (flow._at_end(every_path=False) for flow in flows), 0),
    )
