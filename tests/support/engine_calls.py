"""A model that counts the calls of its engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autocog_core import TreeQuery, TreeScores
from autocog_core.backends.random import RandomLM
from autocog_core.numerics import top_k_ids


class CountingLM(RandomLM):
    """A random model over bytes that scores token trees itself.

    :ivar tree_calls: how often it was called for token trees.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.tree_calls = 0

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        self.tree_calls += 1
        return [self._score(query) for query in queries]

    def _score(self, query: TreeQuery) -> TreeScores:
        paths: list[tuple[int, ...]] = []
        for token, parent in zip(query.tokens.tolist(), query.parents.tolist(), strict=True):
            paths.append((*(paths[parent] if parent >= 0 else ()), token))
        values = [self.greedy_impl([*query.prefix, *path[:-1]])[path[-1]] for path in paths]
        tops = []
        for node in query.top_at.tolist():
            row = self.greedy_impl([*query.prefix, *(paths[node] if node >= 0 else ())])
            best = top_k_ids(row, query.top_k, query.mask)
            tops.append((best, row[best]))
        return TreeScores(
            values=np.array(values, dtype=np.float64),
            top_tokens=np.array([best for best, _ in tops], dtype=np.int32).reshape(len(tops), -1),
            top_logprobs=np.array([row for _, row in tops], dtype=np.float64).reshape(
                len(tops), -1
            ),
            tokens_evaluated=len(paths),
        )
