"""The plan of one decode: its nodes, and the sequences that they belong to.

Each planned sequence decodes one path to its end. It continues cached cells, or starts from
nothing. Sequences share nodes: a shared node is decoded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autocog_core.toolkit import PrefixForest
from autocog_llamacpp.llama.cell_tree import Cell

Int32Array = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodePlan:
    """A plan for some paths of a forest.

    :ivar nodes: the forest's nodes to decode, each after its parent.
    :ivar first: int32 (n,): node i belongs to the sequences first[i] .. last[i] - 1 of the plan.
    :ivar last: see `first`.
    :ivar starts: by sequence: the cell that it continues.
    :ivar ends: by sequence: the index in `nodes` of its last node.
    :ivar already_cached: cells of nodes that are decoded again for their logits, by node.
    """

    nodes: list[int]
    first: Int32Array
    last: Int32Array
    starts: list[Cell]
    ends: list[int]
    already_cached: dict[int, Cell]

    def fork_nodes(self) -> list[int]:
        """Return the index in `nodes` of the first fork of each component that forks."""
        forks = []
        begin = 0
        while begin < len(self.nodes):
            first, last = self.first[begin], self.last[begin]
            end = int(self.ends[last - 1]) + 1
            is_shared = (self.first[begin:end] == first) & (self.last[begin:end] == last)
            if last - first > 1:
                forks.append(begin + int(np.argmin(is_shared)) - 1)
            begin = end
        return forks


def make_plan(
    forest: PrefixForest, nodes: Sequence[int], unread: set[int], root: Cell
) -> DecodePlan:
    """Plan one decode.

    :param nodes: nodes of the forest in depth-first order, with all their ancestors.
    :param unread: the nodes whose logits are needed.
    :param root: the tree of cached cells.
    """
    cells: dict[int, Cell] = {-1: root}
    component_of: dict[int, int] = {}  # node -> the first node of its component
    components: dict[int, list[int]] = {}
    for node in nodes:
        parent = forest.parents[node]
        parent_cell = cells.get(parent)
        cell = None if parent_cell is None else parent_cell.children.get(forest.tokens[node])
        if cell is not None:
            cells[node] = cell
        # Cached nodes whose logits are not needed are not decoded. The other nodes form connected
        # components; a path may pass through cached nodes between two components.
        if cell is None or node in unread:
            component_of[node] = component_of.get(parent, node)
            components.setdefault(component_of[node], []).append(node)

    order: list[int] = []
    first: list[int] = []
    starts: list[Cell] = []
    ends: list[int] = []
    last: dict[int, int] = {}
    for top, members in components.items():
        start = cells[forest.parents[top]]
        parents = {forest.parents[node] for node in members}
        for node in members:
            first.append(len(starts))
            if node not in parents:
                starts.append(start)
                ends.append(len(order))
            order.append(node)
        # Children come after their parents, so the loop goes backwards to find the last sequence.
        for index in range(len(order) - 1, len(order) - len(members) - 1, -1):
            node = order[index]
            node_last = last.setdefault(node, first[index] + 1)
            parent = forest.parents[node]
            if component_of.get(parent) == top:
                last[parent] = max(node_last, last.get(parent, 0))
    return DecodePlan(
        nodes=order,
        first=np.array(first, dtype=np.int32),
        last=np.array([last[node] for node in order], dtype=np.int32),
        starts=starts,
        ends=ends,
        already_cached={node: cells[node] for node in order if node in cells},
    )
