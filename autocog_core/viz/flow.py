"""What all drawings of an automaton share: nodes in flow order, and edges between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autocog_core.automaton.actions import Action, Choose
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import InputError, did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """All transitions from one action to another, drawn as one edge.

    :ivar source: index of the node that it leaves.
    :ivar target: index of the node that it enters.
    :ivar branches: indices of the choices that take it; empty if the source is no `Choose`.
    :ivar back: whether it closes a cycle.
    :ivar max_visits: for a back edge, the smallest `max_visits` on the cycle.
    """

    source: int
    target: int
    branches: tuple[int, ...] = ()
    back: bool = False
    max_visits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An action to be drawn.

    :ivar action: the action.
    :ivar edges: the edges that leave it.
    """

    action: Action
    edges: tuple[Edge, ...]

    @property
    def branches(self) -> bool:
        """Whether it has several successors: labels of the edges then name its choices."""
        return len(self.edges) > 1


def flow_nodes(automaton: AutomatonGraph) -> list[Node]:
    """Return the actions in flow order: back edges aside, each one precedes its successors.

    An automaton that `check` rejects is drawn too, as long as its successors exist.

    :param automaton: with at least one action.
    :raises InputError: for an automaton without actions, or an unknown successor.
    """
    if not automaton.actions:
        raise InputError("there are no actions", where="automaton")
    successors = _successors(automaton)
    order, back = _depth_first(automaton.actions, successors)
    index = {number: position for position, number in enumerate(order)}
    return [
        Node(
            action=automaton.actions[source],
            edges=tuple(
                Edge(
                    source=index[source],
                    target=index[target],
                    branches=tuple(branches),
                    back=(source, target) in back,
                    max_visits=back.get((source, target)),
                )
                for target, branches in successors[source].items()
            ),
        )
        for source in order
    ]


def _successors(automaton: AutomatonGraph) -> list[dict[int, list[int]]]:
    """Return for each action its successors, and the choices that lead to each of them."""
    numbers = {action.uid: number for number, action in enumerate(automaton.actions)}
    successors: list[dict[int, list[int]]] = []
    for action in automaton.actions:
        choices = range(len(action.choices)) if isinstance(action, Choose) else range(0)
        branches: dict[int, list[int]] = {}
        for branch, uid in enumerate(action.successors):
            if uid not in numbers:
                raise InputError(
                    f'unknown successor "{uid}"',
                    where=f'action "{action.uid}"',
                    hint=did_you_mean(uid, numbers),
                )
            shared = choices if len(action.successors) == 1 else choices[branch : branch + 1]
            branches.setdefault(numbers[uid], []).extend(shared)
        successors.append(branches)
    return successors


def _depth_first(
    actions: Sequence[Action], successors: Sequence[dict[int, list[int]]]
) -> tuple[list[int], dict[tuple[int, int], int | None]]:
    """Return the flow order, and the back edges with the smallest `max_visits` on their cycles."""
    order: list[int] = []
    back: dict[tuple[int, int], int | None] = {}
    visited: set[int] = set()
    for root in range(len(actions)):
        # The path from the root, each action with the successors still to be visited. The last
        # successor is visited first: the order is reversed below.
        path: dict[int, Iterator[int]] = {}
        finished: list[int] = []
        target: int | None = root
        while True:
            if target is not None and target not in visited:
                visited.add(target)
                path[target] = reversed(successors[target])
            if not path:
                break
            source = next(reversed(path))
            target = next(path[source], None)
            if target is None:
                finished.append(source)
                del path[source]
            elif target in path:
                cycle = list(path)[list(path).index(target) :]
                visits = [actions[number].max_visits for number in cycle]
                back[source, target] = min((v for v in visits if v is not None), default=None)
        order += reversed(finished)
    return order, back
