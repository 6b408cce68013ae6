"""Token trees whose scores are computed right, and then stored or returned wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import TreeQuery, TreeScores
from tests.mutants.correct_models import ChangedTopLM, ChangedTreeLM, CorrectTreeLM


class TreeBaseTwo(ChangedTreeLM):
    def changed(self, query: TreeQuery, values: Any) -> Any:
        return values / np.log(2)


class TreeBaseTen(ChangedTreeLM):
    def changed(self, query: TreeQuery, values: Any) -> Any:
        return values / np.log(10)


class TreeRounded(ChangedTreeLM):
    def changed(self, query: TreeQuery, values: Any) -> Any:
        return values.round(2)


class TreeHalfPrecision(ChangedTreeLM):
    def changed(self, query: TreeQuery, values: Any) -> Any:
        return values.astype(np.float16).astype(np.float64)


class TreeScaled(ChangedTreeLM):
    """Has scores of another model, for example one with a temperature."""

    def changed(self, query: TreeQuery, values: Any) -> Any:
        return values * 0.8 - 0.1


class LogitsInTrees(CorrectTreeLM):
    """Returns logits that are below 0, so that nothing but their sum shows it."""

    def tree(self, query: TreeQuery) -> TreeScores:
        scores = super().tree(query)
        paths = self.paths(query)
        values = [
            float(self.logits(paths[parent])[token]) - 60
            for token, parent in zip(query.tokens.tolist(), query.parents.tolist(), strict=True)
        ]
        return replace(scores, values=np.array(values))

    def paths(self, query: TreeQuery) -> dict[int, list[int]]:
        paths = {-1: list(query.prefix)}
        for node, parent in enumerate(query.parents.tolist()):
            paths[node] = [*paths[parent], int(query.tokens[node])]
        return paths


class SumsAlongThePath(ChangedTreeLM):
    def changed(self, query: TreeQuery, values: Any) -> Any:
        for node, parent in enumerate(query.parents.tolist()):
            values[node] += values[parent] if parent >= 0 else 0.0
        return values


class LeavesAnswered(ChangedTreeLM):
    """Leaves the scores of inner nodes at 0."""

    def changed(self, query: TreeQuery, values: Any) -> Any:
        values[query.parents[query.parents >= 0]] = 0
        return values


class LastNodeForgotten(ChangedTreeLM):
    def changed(self, query: TreeQuery, values: Any) -> Any:
        values[-1:] = 0
        return values


class ForgottenNodesNaN(ChangedTreeLM):
    def changed(self, query: TreeQuery, values: Any) -> Any:
        values[2:4] = np.nan
        return values


class FirstChildrenAnswered(ChangedTreeLM):
    """Has a score for the first child of each node only; the others stay impossible."""

    def changed(self, query: TreeQuery, values: Any) -> Any:
        parents = query.parents.tolist()
        values[[parent in parents[:node] for node, parent in enumerate(parents)]] = -np.inf
        return values


class FirstChildCopied(ChangedTreeLM):
    """Gives all children of a node the score of the first one."""

    def changed(self, query: TreeQuery, values: Any) -> Any:
        parents = query.parents.tolist()
        return values[[parents.index(parent) for parent in parents]]


class NodesSorted(ChangedTreeLM):
    """Sorts the nodes by token, and does not sort the scores back."""

    def changed(self, query: TreeQuery, values: Any) -> Any:
        return values[np.argsort(query.tokens, kind="stable")]


class SiblingsSwapped(ChangedTreeLM):
    """Swaps the scores of the first two children of the first node."""

    def changed(self, query: TreeQuery, values: Any) -> Any:
        children = np.flatnonzero(query.parents == 0)[:2]
        values[children] = values[children[::-1]]
        return values


class ShiftedByOne(ChangedTreeLM):
    """Returns the score of the node after each node."""

    def changed(self, query: TreeQuery, values: Any) -> Any:
        return np.roll(values, -1)


class ScoresOfTheLastCall(ChangedTreeLM):
    """Adds a little of the scores of the previous call."""

    last = 0.0

    def changed(self, query: TreeQuery, values: Any) -> Any:
        # The value of a repeated call changes too, as that of a sampled one would.
        self.last = 0.5 * self.last + len(query.prefix) / 64
        return values - self.last


class TopOfAnotherNode(ChangedTopLM):
    def changed(self, query: TreeQuery, scores: TreeScores) -> TreeScores:
        order = np.roll(np.arange(len(query.top_at)), 1)
        return replace(
            scores, top_tokens=scores.top_tokens[order], top_logprobs=scores.top_logprobs[order]
        )


class TopAscending(ChangedTopLM):
    def changed(self, query: TreeQuery, scores: TreeScores) -> TreeScores:
        return replace(
            scores,
            top_tokens=scores.top_tokens[:, ::-1],
            top_logprobs=scores.top_logprobs[:, ::-1],
        )


class TopIdsMixed(ChangedTopLM):
    """Returns the ids in another order than their log-probabilities."""

    def changed(self, query: TreeQuery, scores: TreeScores) -> TreeScores:
        return replace(scores, top_tokens=scores.top_tokens[:, ::-1])


class TopRowTooShort(ChangedTopLM):
    """Returns one token less than requested."""

    def changed(self, query: TreeQuery, scores: TreeScores) -> TreeScores:
        return replace(
            scores,
            top_tokens=scores.top_tokens[:, :-1],
            top_logprobs=scores.top_logprobs[:, :-1],
        )


class MaskIgnored(CorrectTreeLM):
    def top_k(self, row: Any, query: TreeQuery) -> tuple[list[int], list[float]]:
        return super().top_k(row, replace(query, mask=None))


class NormalizedAfterMask(CorrectTreeLM):
    def top_k(self, row: Any, query: TreeQuery) -> tuple[list[int], list[float]]:
        tokens, logprobs = super().top_k(row, query)
        total = 0.0 if query.mask is None else float(np.log(np.exp(row[query.mask]).sum()))
        return tokens, [value - total for value in logprobs]


class OneQueryAnswered(CorrectTreeLM):
    """Leaves the scores of all queries but the first at 0."""

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        first, *others = super().greedy_tree_impl(queries)
        return [first, *(replace(other, values=0 * other.values) for other in others)]


class FirstPrefixForAll(CorrectTreeLM):
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        return super().greedy_tree_impl(
            [replace(query, prefix=queries[0].prefix) for query in queries]
        )


class QueriesSwapped(CorrectTreeLM):
    """Swaps the answers of the first two queries."""

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        answers = super().greedy_tree_impl(queries)
        return [*answers[:2][::-1], *answers[2:]]


class PreviousQuerySeen(CorrectTreeLM):
    """Keeps the last token of the previous query in its cache."""

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        kept: list[int] = []
        answers = []
        for query in queries:
            answers.append(self.tree(replace(query, prefix=[*kept, *query.prefix])))
            kept = list(query.prefix[-1:])
        return answers
