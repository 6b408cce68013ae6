"""An automaton as a graph to be drawn: actions in flow order, and edges between their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autocog_core.automaton.actions import Action, Choose
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import InputError, did_you_mean


@dataclass(frozen=True, slots=True)
class Edge:
    """All ways from one action to another, drawn as one.

    :ivar branches: numbers of the choices that lead along it; none for other actions.
    :ivar back: whether it closes a cycle.
    :ivar bound: of a back edge, the smallest `max_visits` on the cycle.
    """

    source: int
    target: int
    branches: tuple[int, ...] = ()
    back: bool = False
    bound: int | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """The actions, each before what follows it where there is no cycle, and their edges.

    :ivar leaving: the edges of each action, by its number.
    """

    actions: tuple[Action, ...]
    leaving: tuple[tuple[Edge, ...], ...]

    @property
    def edges(self) -> list[Edge]:
        """All edges, in order of their sources."""
        return [edge for edges in self.leaving for edge in edges]


def flow_of(automaton: AutomatonGraph) -> Flow:
    """The graph of an automaton; one with faults is drawn too, as long as its edges lead somewhere.

    :raises InputError: for an automaton without actions, or an unknown successor.
    """
    if not automaton.actions:
        raise InputError("there are no actions", where="automaton")
    successors = _successors(automaton)
    order, bounds = _walk(automaton.actions, successors)
    place = {number: index for index, number in enumerate(order)}
    leaving = []
    for source in order:
        edges = [
            Edge(
                place[source],
                place[target],
                tuple(branches),
                back=(source, target) in bounds,
                bound=bounds.get((source, target)),
            )
            for target, branches in successors[source].items()
        ]
        leaving.append(tuple(edges))
    return Flow(tuple(automaton.actions[number] for number in order), tuple(leaving))


def _successors(automaton: AutomatonGraph) -> list[dict[int, list[int]]]:
    """Of each action the numbers of those that follow it, with the choices that lead there."""
    numbers = {action.uid: number for number, action in enumerate(automaton.actions)}
    found: list[dict[int, list[int]]] = []
    for action in automaton.actions:
        follow: dict[int, list[int]] = {}
        for branch, uid in enumerate(action.successors):
            if uid not in numbers:
                raise InputError(
                    f'unknown successor "{uid}"',
                    where=f'action "{action.uid}"',
                    hint=did_you_mean(uid, numbers),
                )
            branches = follow.setdefault(numbers[uid], [])
            if isinstance(action, Choose):
                count = len(action.choices)
                alone = len(action.successors) == 1
                branches += range(count) if alone else range(branch, min(branch + 1, count))
        found.append(follow)
    return found


def _walk(
    actions: Sequence[Action], successors: Sequence[dict[int, list[int]]]
) -> tuple[list[int], dict[tuple[int, int], int | None]]:
    """The flow order, and the back edges with their bounds: one depth-first search.

    An edge back to an action of the present path closes a cycle: the part of the path below it.
    """
    order: list[int] = []
    bounds: dict[tuple[int, int], int | None] = {}
    seen: set[int] = set()
    for root in range(len(actions)):
        if root in seen:
            continue
        finished: list[int] = []
        path = [root]
        depth = {root: 0}
        # Last successors first, so that the reverse has the first ones first.
        waiting = [list(successors[root])]
        seen.add(root)
        while path:
            current = path[-1]
            if not waiting[-1]:
                finished.append(path.pop())
                waiting.pop()
                del depth[current]
                continue
            target = waiting[-1].pop()
            if target in depth:
                bounds[current, target] = _bound(actions, path[depth[target] :])
            elif target not in seen:
                seen.add(target)
                depth[target] = len(path)
                path.append(target)
                waiting.append(list(successors[target]))
        order += reversed(finished)
    return order, bounds


def _bound(actions: Sequence[Action], cycle: Sequence[int]) -> int | None:
    visits = [actions[number].max_visits for number in cycle]
    return min((one for one in visits if one is not None), default=None)
