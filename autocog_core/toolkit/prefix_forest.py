"""All token sequences that one call needs, as one tree from the start of the sequence.

Queries with the same prefix, or prefixes that begin alike, share nodes: what is common to several
rows of a data set is evaluated once, whoever asks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocog_core.types.token_tree import TreeQuery


class PrefixForest:
    """Nodes to evaluate, each after its parent.

    :ivar tokens: the token of each node.
    :ivar parents: index of each node's parent, -1 for a first token.
    :ivar owners: number of the query that first needed the node.
    :ivar wanted: whether the distribution after the node is needed.
    :ivar evaluated: tokens evaluated so far, by owner.
    """

    def __init__(self, owners: int) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.first_query: list[int] = []
        self.needs_row: list[bool] = []
        self.evaluated = [0] * owners
        self._index: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    def add_child(self, node: int, token: int, owner: int) -> int:
        """The node of `token` after `node`, made if it is new."""
        key = (node, token)
        found = self._index.get(key)
        if found is None:
            found = self._index[key] = len(self.tokens)
            self.tokens.append(token)
            self.parents.append(node)
            self.first_query.append(owner)
            self.needs_row.append(False)
        return found

    def add_path(self, tokens: Sequence[int], owner: int) -> int:
        """The last node of a sequence from the start, its nodes made where they are new."""
        node = -1
        for token in tokens:
            node = self.add_child(node, int(token), owner)
        return node

    def path_to(self, node: int) -> list[int]:
        """The nodes from the start to `node`."""
        found = []
        while node >= 0:
            found.append(node)
            node = self.parents[node]
        return found[::-1]

    def sequence(self, node: int) -> list[int]:
        """The tokens up to `node`, first to last."""
        return [self.tokens[each] for each in self.path_to(node)]

    def children(self) -> list[list[int]]:
        """Children of every node; the last entry holds those of the start."""
        found: list[list[int]] = [[] for _ in range(len(self) + 1)]
        for node, parent in enumerate(self.parents):
            found[parent].append(node)
        return found

    def depth_first(self) -> list[int]:
        """All nodes such that every subtree stands together: what is cut off can be dropped."""
        children = self.children()
        order: list[int] = []
        stack = children[-1][::-1]
        while stack:
            node = stack.pop()
            order.append(node)
            stack.extend(reversed(children[node]))
        return order

    def count_evaluated(self, nodes: Sequence[int]) -> None:
        """Book these nodes as evaluated, on their owners."""
        for node in nodes:
            self.evaluated[self.first_query[node]] += 1


def add_query(forest: PrefixForest, query: TreeQuery, owner: int) -> list[int]:
    """Add what `query` needs; the forest's node for each place in the query, the prefix last.

    Places without children that are not in `top_at` get no node (-2): nobody asks what follows.
    """
    tokens = query.tokens.tolist()
    parents = query.parents.tolist()
    inner = np.zeros(len(tokens) + 1, dtype=bool)
    inner[query.parents] = True
    inner[query.top_at] = True
    nodes = [-2] * (len(tokens) + 1)
    nodes[-1] = forest.add_path(query.prefix, owner)
    for place in np.flatnonzero(inner[:-1]).tolist():
        nodes[place] = forest.add_child(nodes[parents[place]], tokens[place], owner)
        forest.needs_row[nodes[place]] = True
    if inner[-1]:
        forest.needs_row[nodes[-1]] = True
    return nodes
