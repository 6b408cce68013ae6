"""Which fields a path has set when it reaches an action.

A data flow analysis of the graph, with sets of fields as bits of whole numbers. It knows nothing
of choices and visits: a path is any way through the graph.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from operator import and_, or_

from autocog_core.automaton.actions import Action


class FieldFlow:
    """The fields of some actions, all of whose successors exist.

    :param actions: the actions; every path starts at the first.
    :param names: the fields to follow.
    """

    def __init__(self, actions: Sequence[Action], names: Collection[str]) -> None:
        self._actions = actions
        self._by_uid = {action.uid: action for action in actions}
        self._bits = {name: 1 << index for index, name in enumerate(sorted(names))}
        self._always = self._flow(every_path=True)
        self._sometimes = self._flow(every_path=False)

    def always_set(self, uid: str, name: str) -> bool:
        """Return whether every path to an action has set a field; true if no path leads to it."""
        return bool(self._always.get(uid, ~0) & self._bits[name])

    def repeated(self) -> frozenset[str]:
        """Return the fields that a path may set several times."""
        bits = 0
        for action in self._actions:
            bits |= self._sometimes.get(action.uid, 0) & self._set_by(action)
        return frozenset(name for name, bit in self._bits.items() if bits & bit)

    def path_without(self, uid: str, name: str) -> list[str]:
        """Return a shortest path to an action that does not set a field, as uids.

        :param uid: the action, to which such a path leads.
        :param name: the field.
        """
        entry = self._actions[0].uid
        previous = {entry: ""}
        queue = deque([entry])
        while queue and uid not in previous:
            reached = queue.popleft()
            action = self._by_uid[reached]
            if action.name == name:
                continue
            for successor in action.successors:
                if successor not in previous:
                    previous[successor] = reached
                    queue.append(successor)
        path = [uid]
        while previous[path[-1]]:
            path.append(previous[path[-1]])
        return path[::-1]

    def _flow(self, *, every_path: bool) -> Mapping[str, int]:
        """Return the fields set before each action: on every path to it, or on some path."""
        merge = and_ if every_path else or_
        entry = self._actions[0]
        before = {entry.uid: 0}
        queue = deque([entry.uid])
        waiting = {entry.uid}
        while queue:
            uid = queue.popleft()
            waiting.discard(uid)
            action = self._by_uid[uid]
            after = before[uid] | self._set_by(action)
            for successor in action.successors:
                known = before.get(successor)
                merged = after if known is None else merge(known, after)
                if merged != known:
                    before[successor] = merged
                    if successor not in waiting:
                        waiting.add(successor)
                        queue.append(successor)
        return before

    def _set_by(self, action: Action) -> int:
        return self._bits.get(action.name, 0) if action.name is not None else 0
