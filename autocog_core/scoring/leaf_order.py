"""The choices of a token tree in an order in which those below each node are neighbors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from autocog_core.types.token_tree import TokenTree

IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LeafOrder:
    """The choices of a tree, sorted by their tokens. So each node has a range of them.

    A choice that begins others comes directly before them. Nodes are numbered from 1 here, because
    node 0 is the prefix: its children follow the prompt.

    :ivar choices: int64 (choices,), the index of the choice at each position of the order.
    :ivar starts: int64 (nodes + 1,), the first position below each node.
    :ivar stops: int64 (nodes + 1,), the position after the last one below each node.
    :ivar children: int64 (nodes,), the children of all nodes, those of one node after another and
        in the order of their positions.
    :ivar child_starts: int64 (nodes + 2,), where each node's children begin in `children`.
    :ivar choice_at: int64 (nodes + 1,), the position of the choice that ends at each node; -1 for
        none.
    """

    choices: IntArray
    starts: IntArray
    stops: IntArray
    children: IntArray
    child_starts: IntArray
    choice_at: IntArray

    def children_of(self, node: int) -> IntArray:
        """Return the children of a node, in the order of their positions."""
        return self.children[self.child_starts[node] : self.child_starts[node + 1]]

    @property
    def has_children(self) -> NDArray[np.bool_]:
        """Whether each node has children: bool (nodes + 1,)."""
        return np.diff(self.child_starts) > 0


@lru_cache(maxsize=32)
def leaf_order(tree: TokenTree) -> LeafOrder:
    """Return the order of a tree's choices, cached: rows of a data set often share the tree."""
    nodes, count = len(tree.tokens), len(tree.path_starts) - 1
    parents = tree.parents.astype(np.int64) + 1
    lengths = np.diff(tree.path_starts)
    order = _sort_by_tokens(tree, lengths)
    positions = np.empty(count, dtype=np.int64)
    positions[order] = np.arange(count)
    path_nodes = tree.path_nodes.astype(np.int64) + 1
    below = np.repeat(positions, lengths)
    starts = np.full(nodes + 1, count, dtype=np.int64)
    stops = np.zeros(nodes + 1, dtype=np.int64)
    np.minimum.at(starts, path_nodes, below)
    np.maximum.at(stops, path_nodes, below + 1)
    starts[0], stops[0] = 0, count
    choice_at = np.full(nodes + 1, -1, dtype=np.int64)
    choice_at[tree.ends.astype(np.int64) + 1] = positions
    children = np.lexsort((starts[1:], parents)) + 1
    child_starts = np.searchsorted(parents[children - 1], np.arange(nodes + 2))
    return LeafOrder(
        choices=order,
        starts=starts,
        stops=stops,
        children=children,
        child_starts=child_starts,
        choice_at=choice_at,
    )


def _sort_by_tokens(tree: TokenTree, lengths: IntArray) -> IntArray:
    """Return the indices of the sequences in lexicographic order of their tokens."""
    # Nodes in place of tokens: equal prefixes have equal nodes, and any order of siblings will do.
    table = np.full((len(lengths), int(lengths.max())), -1, dtype=np.int32)
    table[np.arange(table.shape[1]) < lengths[:, None]] = tree.path_nodes
    return np.lexsort(table.T[::-1])
