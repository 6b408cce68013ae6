"""What all drawings of an automaton share: nodes in flow order, and edges between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autocog_core.automaton.actions import Action, Choose
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import InputError, did_you_mean
from autocog_core.viz.groups import draw_groups
from autocog_core.viz.labels import action_rows, branches_label
from autocog_core.viz.preview import name_preview

_LABEL_COLUMNS = 28
#: Fill, border and ink of the drawings of each kind of action.
KIND_COLORS = {
    "text": ("#ffffff", "#94a3b8", "#475569"),
    "messages": ("#f0f9ff", "#38bdf8", "#0369a1"),
    "choose": ("#fff7e0", "#d9a021", "#8a5a00"),
    "complete": ("#eafaf1", "#3fa672", "#146c43"),
    "record": ("#fdf2f8", "#c0569b", "#8a1f63"),
    "ask": ("#eef2ff", "#6366f1", "#3730a3"),
    "join": ("#eef2ff", "#6366f1", "#3730a3"),
}
#: The kinds that draw a group.
GROUP_KINDS = frozenset({"ask", "join"})
#: Kinds whose style a drawing has only if it uses them.
OCCASIONAL_KINDS = GROUP_KINDS | {"messages", "record"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """All transitions from one action to another, drawn as one edge.

    :ivar source: index of the node that it leaves.
    :ivar target: index of the node that it enters.
    :ivar branches: indices of the choices that take it; empty if the source is no `Choose`.
    :ivar choices: these choices, as a label.
    :ivar back: whether it closes a cycle.
    :ivar limit: for a back edge, the smallest `max_visits` on the cycle, as a label.
    """

    source: int
    target: int
    branches: tuple[int, ...]
    choices: str
    back: bool
    limit: str

    @property
    def rows(self) -> list[str]:
        """The lines of its label."""
        return [row for row in (self.choices, self.limit) if row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An action to be drawn.

    :ivar action: the action.
    :ivar title: its uid, on one line.
    :ivar rows: the lines below the title.
    :ivar edges: the edges that leave it.
    """

    action: Action
    title: str
    rows: list[str]
    edges: tuple[Edge, ...]

    @property
    def kind(self) -> str:
        """The kind of its action: "text", "messages", "choose", ..., or "join" for its end."""
        return self.action.kind


def flow_nodes(automaton: AutomatonGraph) -> list[Node]:
    """Return the actions in flow order: depth first, each before its successors where possible.

    An automaton that `check` rejects is drawn too, as long as its successors exist.

    :param automaton: with at least one action.
    :raises InputError: for an automaton without actions, or an unknown successor.
    """
    if not automaton.actions:
        raise InputError("there are no actions", where="automaton")
    actions = draw_groups(automaton.actions)
    successors = _successors(actions)
    order, back = _depth_first(actions, successors)
    index = {number: position for position, number in enumerate(order)}
    nodes = []
    for source in order:
        action = actions[source]
        edges = tuple(
            Edge(
                source=index[source],
                target=index[target],
                branches=tuple(branches),
                choices=branches_label(action, branches, _LABEL_COLUMNS),
                back=(source, target) in back,
                limit=back.get((source, target), ""),
            )
            for target, branches in successors[source].items()
        )
        rows = action_rows(action, show_choices=len(edges) < 2)
        nodes.append(Node(action=action, title=name_preview(action.uid), rows=rows, edges=edges))
    return nodes


def _successors(actions: Sequence[Action]) -> list[dict[int, list[int]]]:
    """Return for each action its successors, and the choices that lead to each of them."""
    numbers = {action.uid: number for number, action in enumerate(actions)}
    successors: list[dict[int, list[int]]] = []
    for action in actions:
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
) -> tuple[list[int], dict[tuple[int, int], str]]:
    """Return the flow order, and the back edges with the smallest `max_visits` on their cycles."""
    order: list[int] = []
    back: dict[tuple[int, int], str] = {}
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
                limits = [actions[number].max_visits for number in cycle]
                smallest = min((limit for limit in limits if limit is not None), default=None)
                back[source, target] = "" if smallest is None else f"max_visits {smallest}"
        order += reversed(finished)
    return order, back
