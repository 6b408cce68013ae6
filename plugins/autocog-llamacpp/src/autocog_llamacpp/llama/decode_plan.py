"""What one round of evaluation does: which nodes are decoded, on which sequences.

A *strand* is a path that is decoded to its end on one sequence. It continues cells that are in
memory already, or begins a sequence. Strands that share nodes share their cells: such a node is
decoded once, for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autocog_core.toolkit import PrefixForest
from autocog_llamacpp.llama.cell_tree import Cell

Int32Array = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Plan:
    """A round over some paths of a forest.

    :ivar nodes: the forest's nodes to decode, each after its parent.
    :ivar first, last: node i belongs to the strands first[i] to last[i] - 1.
    :ivar starts: for each strand, the cell that it continues.
    :ivar ends: for each strand, the place of its last node in `nodes`.
    :ivar known: cells in memory of the nodes that are decoded all the same, for their logits.
    """

    nodes: list[int]
    first: Int32Array
    last: Int32Array
    starts: list[Cell]
    ends: list[int]
    known: dict[int, Cell]

    def forks(self) -> list[int]:
        """For each part that hangs together, the place where it first forks, if it does."""
        found = []
        place = 0
        while place < len(self.nodes):
            first, last = self.first[place], self.last[place]
            end = int(self.ends[last - 1]) + 1
            whole = (self.first[place:end] == first) & (self.last[place:end] == last)
            if last - first > 1:
                found.append(place + int(np.argmin(whole)) - 1)
            place = end
        return found


def make_plan(forest: PrefixForest, nodes: Sequence[int], unread: set[int], root: Cell) -> Plan:
    """Plan how the nodes in `unread` are read.

    :param nodes: nodes of the forest in depth-first order, with all their ancestors.
    :param root: the tree of what is in memory.
    """
    cells: dict[int, Cell] = {-1: root}
    decoded: dict[int, int] = {}  # node -> the first node of its component
    components: dict[int, list[int]] = {}
    for node in nodes:
        parent = forest.parents[node]
        above = cells.get(parent)
        cell = None if above is None else above.children.get(forest.tokens[node])
        if cell is not None:
            cells[node] = cell
        # What is in memory and not asked for is not decoded. The rest falls into components that
        # hang together, for a path may pass through what is in memory between two of them.
        if cell is None or node in unread:
            decoded[node] = decoded.get(parent, node)
            components.setdefault(decoded[node], []).append(node)

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
        # Children stand after their parents, so that the last strand comes up from them.
        for place in range(len(order) - 1, len(order) - len(members) - 1, -1):
            node = order[place]
            mine = last.setdefault(node, first[place] + 1)
            parent = forest.parents[node]
            if decoded.get(parent) == top:
                last[parent] = max(mine, last.get(parent, 0))
    return Plan(
        order,
        np.array(first, dtype=np.int32),
        np.array([last[node] for node in order], dtype=np.int32),
        starts,
        ends,
        {node: cells[node] for node in order if node in cells},
    )
