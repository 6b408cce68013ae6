"""All token sequences that one call needs, as one forest: shared prefixes are evaluated once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocog_core.types.token_tree import TreeQuery, common_prefix_length


class PrefixForest:
    """The nodes to evaluate, parents before children.

    Queries with equal prefixes, or prefixes that begin alike, share nodes.

    :param queries: how many queries there are.
    :ivar tokens: the token of each node.
    :ivar parents: index of each node's parent; -1 for a first token.
    :ivar first_query: index of the query that needed the node first.
    :ivar needs_row: whether the distribution after the node is needed.
    :ivar evaluated: tokens evaluated so far, by query.
    """

    def __init__(self, queries: int) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.first_query: list[int] = []
        self.needs_row: list[bool] = []
        self.evaluated = [0] * queries
        self._index: dict[tuple[int, int], int] = {}
        #: The sequence of the last `add_path`, and its nodes.
        self._last_path: tuple[list[int], list[int]] = [], []

    def __len__(self) -> int:
        return len(self.tokens)

    def add_child(self, node: int, token: int, query: int) -> int:
        """Return the node of `token` after `node`; add it if it is new."""
        key = (node, token)
        child = self._index.get(key)
        if child is None:
            child = self._index[key] = len(self.tokens)
            self.tokens.append(token)
            self.parents.append(node)
            self.first_query.append(query)
            self.needs_row.append(False)
        return child

    def add_path(self, tokens: Sequence[int], query: int) -> int:
        """Return the last node of a sequence from the start; add the nodes that are new."""
        tokens = list(map(int, tokens))
        last_tokens, last_nodes = self._last_path
        # Queries of one call mostly share all but the end of their prefixes: no look-up.
        shared = common_prefix_length(tokens, last_tokens)
        nodes = last_nodes[:shared]
        node = nodes[-1] if nodes else -1
        for token in tokens[shared:]:
            node = self.add_child(node, token, query)
            nodes.append(node)
        self._last_path = tokens, nodes
        return node

    def path_to(self, node: int) -> list[int]:
        """Return the nodes from the start to `node`."""
        path = []
        while node >= 0:
            path.append(node)
            node = self.parents[node]
        return path[::-1]

    def sequence(self, node: int) -> list[int]:
        """Return the tokens from the start to `node`."""
        return [self.tokens[index] for index in self.path_to(node)]

    def children(self) -> list[list[int]]:
        """Return the children of every node; the last entry has the first tokens."""
        children: list[list[int]] = [[] for _ in range(len(self) + 1)]
        for node, parent in enumerate(self.parents):
            children[parent].append(node)
        return children

    def depth_first(self) -> list[int]:
        """Return all nodes in an order in which every subtree is contiguous."""
        children = self.children()
        order: list[int] = []
        stack = children[-1][::-1]
        while stack:
            node = stack.pop()
            order.append(node)
            stack.extend(reversed(children[node]))
        return order

    def count_evaluated(self, nodes: Sequence[int]) -> None:
        """Count these nodes as evaluated, each for the query that needed it first."""
        for node in nodes:
            self.evaluated[self.first_query[node]] += 1


def add_query(forest: PrefixForest, query: TreeQuery, index: int) -> list[int]:
    """Add the nodes that `query` needs.

    :param index: index of the query.
    :returns: the forest's node of each node of the query, and last that of the prefix. Nodes
        without children that are not in `top_at` are -2: their distribution is not needed.
    """
    tokens = query.tokens.tolist()
    parents = query.parents.tolist()
    inner = np.zeros(len(tokens) + 1, dtype=bool)
    inner[query.parents] = True
    inner[query.top_at] = True
    nodes = [-2] * (len(tokens) + 1)
    nodes[-1] = forest.add_path(query.prefix, index)
    for node in np.flatnonzero(inner[:-1]).tolist():
        nodes[node] = forest.add_child(nodes[parents[node]], tokens[node], index)
        forest.needs_row[nodes[node]] = True
    if inner[-1]:
        forest.needs_row[nodes[-1]] = True
    return nodes
