"""Token trees whose nodes get the scores of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autocog_core import (
    TreeQuery,
    TreeScores,
)
from tests.mutants.sound import WithTrees


class SiblingsSeen(WithTrees):
    def seen(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return [*paths[parent], paths[0][-1]] if node else paths[parent]


class TreesOffByOne(WithTrees):
    def seen(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return paths[node]


class TreesOffByOneBefore(WithTrees):
    def seen(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return paths[parent][:-1]


class OneNodeOff(WithTrees):
    """Of one node alone the score is the next position's."""

    def seen(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return paths[node] if node == 3 else paths[parent]


class TreesWithoutParents(WithTrees):
    def seen(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return paths[-1]


class TreesByToken(WithTrees):
    """Keeps the rows of nodes by their tokens: the last of a token's nodes is taken for all."""

    def tree(self, query: TreeQuery) -> TreeScores:
        paths: dict[int, list[int]] = {-1: list(query.prefix)}
        rows = {}
        for node, (token, parent) in enumerate(zip(query.tokens, query.parents, strict=True)):
            paths[node] = [*paths[int(parent)], int(token)]
            rows[int(token)] = self.greedy_impl(paths[node])
        first = self.greedy_impl(query.prefix)
        values = np.zeros(len(query.tokens))
        for node, (token, parent) in enumerate(zip(query.tokens, query.parents, strict=True)):
            row = first if parent < 0 else rows[int(query.tokens[parent])]
            values[node] = row[token]
        return replace(super().tree(query), values=values)


class ValuesByToken(WithTrees):
    """Keeps the scores of nodes by their tokens."""

    def tree(self, query: TreeQuery) -> TreeScores:
        found = super().tree(query)
        by_token = dict(zip(query.tokens.tolist(), found.values.tolist(), strict=True))
        return replace(found, values=np.array([by_token[t] for t in query.tokens.tolist()]))


class SortedBatches(WithTrees):
    """Evaluates from short to long, and answers in that order."""

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        return [self.tree(query) for query in sorted(queries, key=lambda each: len(each.prefix))]


class PaddedLeft(WithTrees):
    """Of several trees the shorter are filled up on the left, and the filling counts."""

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        longest = max(len(query.prefix) for query in queries)
        filled = [
            replace(query, prefix=[0] * (longest - len(query.prefix)) + list(query.prefix))
            for query in queries
        ]
        return super().greedy_tree_impl(filled)
