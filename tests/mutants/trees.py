"""Token trees whose nodes have the scores of other positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autocog_core import TreeQuery, TreeScores
from tests.mutants.correct_models import CorrectTreeLM


class SiblingsSeen(CorrectTreeLM):
    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return [*paths[parent], paths[0][-1]] if node else paths[parent]


class NextPositionRead(CorrectTreeLM):
    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return paths[node]


class PreviousPositionRead(CorrectTreeLM):
    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return paths[parent][:-1]


class LevelsSorted(CorrectTreeLM):
    """Answers a query of a single level in the order of the token ids."""

    def tree(self, query: TreeQuery) -> TreeScores:
        scores = super().tree(query)
        if (query.parents >= 0).any() or len(query.tokens) < 2:
            return scores
        return replace(scores, values=scores.values[np.argsort(query.tokens)])


class OneNodeWrong(CorrectTreeLM):
    """Returns the score of the next position for a single node."""

    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return paths[node] if node == 3 else paths[parent]


class ParentsIgnored(CorrectTreeLM):
    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return paths[-1]


class RowsByToken(CorrectTreeLM):
    """Stores rows by token, so nodes with the same token share one row."""

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


class ValuesByToken(CorrectTreeLM):
    """Stores scores by token, so nodes with the same token share one score."""

    def tree(self, query: TreeQuery) -> TreeScores:
        scores = super().tree(query)
        by_token = dict(zip(query.tokens.tolist(), scores.values.tolist(), strict=True))
        return replace(scores, values=np.array([by_token[t] for t in query.tokens.tolist()]))


class SortedBatches(CorrectTreeLM):
    """Sorts a batch by length, and does not sort the results back."""

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        return [self.tree(query) for query in sorted(queries, key=lambda query: len(query.prefix))]


class PaddedLeft(CorrectTreeLM):
    """Pads shorter prefixes on the left, without a mask."""

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        longest = max(len(query.prefix) for query in queries)
        padded = [
            replace(query, prefix=[0] * (longest - len(query.prefix)) + list(query.prefix))
            for query in queries
        ]
        return super().greedy_tree_impl(padded)


class PrefixEndLeftOut(CorrectTreeLM):
    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        prefix = len(paths[-1])
        return [*paths[-1][:-1], *paths[parent][prefix:]]


class PrefixStartLeftOut(CorrectTreeLM):
    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return paths[parent][1:]


class PrefixStartDoubled(CorrectTreeLM):
    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return [paths[parent][0], *paths[parent]]


class PrefixLeftOut(CorrectTreeLM):
    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return paths[parent][len(paths[-1]) :] or paths[-1]


class ParentAlone(CorrectTreeLM):
    """Sees the token of the parent after the prefix, and nothing between them."""

    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return [*paths[-1], *paths[parent][len(paths[-1]) :][-1:]]


class NodeBeforeSeen(CorrectTreeLM):
    """Scores the nodes as one sequence."""

    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return [*paths[-1], *(paths[other][-1] for other in range(node))]


class NoTreeMask(CorrectTreeLM):
    """Lets each inner node see all nodes before it."""

    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return [*paths[-1], *(paths[other][-1] for other in range(parent + 1))]


class RowsShifted(CorrectTreeLM):
    """Reads the row of the node after each parent."""

    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        following = {-1: 0, 0: 1, 1: 2, 2: 4, 4: -1}.get(parent, parent)
        return paths.get(following, paths[parent])
