"""Likely causes of wrong answers to several trees at once, and of wrong top-k tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core.numerics import log_softmax
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import Values, max_difference
from autocog_core.types.token_tree import TreeQuery


def diagnose_batch(
    subject: BackendUnderTest,
    queries: Sequence[TreeQuery],
    alone: Sequence[Values],
    batch: Sequence[Values],
) -> str:
    """Return why trees have other scores in a batch than alone.

    :param queries: equal trees after different prefixes.
    :param alone: the scores of each tree in a separate call.
    :param batch: its scores in the batch.
    """
    tolerance = subject.tolerance
    again = (subject.raw.trees([query])[0].values for query in queries)
    if any(max_difference(*pair) > tolerance for pair in zip(alone, again, strict=True)):
        return "asked again, a tree has other scores: state of the previous call, or sampling"
    wrong = [
        index
        for index, pair in enumerate(zip(alone, batch, strict=True))
        if max_difference(*pair) > tolerance
    ]
    if all((batch[index] == 0).all() for index in wrong):
        return f"only {len(batch) - len(wrong)} of {len(batch)} queries have scores; others stay 0"
    owners = [
        [other for other, values in enumerate(alone) if max_difference(values, got) <= tolerance]
        for got in batch
    ]
    if all(owners) and len({found[0] for found in owners}) == len(batch):
        return "results are in another order than the queries"
    if all(owners) and len({found[0] for found in owners}) == 1:
        return f"every query has the scores of query {owners[0][0]}: its prefix is used for all"
    return _diagnose_by_calls(subject, queries, wrong[0])


def _diagnose_by_calls(subject: BackendUnderTest, queries: Sequence[TreeQuery], wrong: int) -> str:
    """Return what batches of two queries show: whether their lengths matter, or their order."""
    other = next(index for index in range(len(queries)) if index != wrong)
    length = min(len(queries[wrong].prefix), len(queries[other].prefix))
    first, second = (
        replace(queries[index], prefix=list(queries[index].prefix)[:length])
        for index in (other, wrong)
    )
    if _agree(subject, [first, second]) and _agree(subject, [second, first]):
        if _agree(subject, [queries[other], queries[wrong]]) and _agree(
            subject, [queries[wrong], queries[other]]
        ):
            return ""
        return "padding that is not masked, or positions that count padding"
    return "a query sees what another query of the batch left, for example in a cache"


def _agree(subject: BackendUnderTest, queries: Sequence[TreeQuery]) -> bool:
    """Return whether queries have the same scores together as alone."""
    batch = subject.raw.trees(queries)
    return all(
        max_difference(subject.raw.trees([query])[0].values, scores.values) <= subject.tolerance
        for query, scores in zip(queries, batch, strict=True)
    )


def diagnose_top_k(
    subject: BackendUnderTest,
    allowed: Sequence[Values],
    rows: Sequence[Values],
    index: int,
    tokens: Any,
    logprobs: Values,
) -> str:
    """Return why the likeliest tokens after a node are wrong.

    :param allowed: the rows of all nodes, -inf where the mask forbids a token.
    :param rows: the rows without the mask.
    :param index: which of the nodes.
    :param tokens: the ids that the tree returned.
    :param logprobs: their log-probabilities in the tree.
    """

    def is_top_k(row: Values, values: Values) -> bool:
        expected = np.sort(row)[::-1][: len(logprobs)]
        possible = np.isfinite(expected)
        return max_difference(expected[possible], values[possible]) <= subject.tolerance

    possible = np.isfinite(logprobs) & (tokens >= 0)
    if (np.diff(logprobs[possible]) > subject.tolerance).any():
        return "wrong sort order: the likeliest token comes first"
    row = allowed[index]
    if any(is_top_k(other, logprobs) for n, other in enumerate(allowed) if n != index):
        return "these are the tokens of another node"
    if not (tokens[: possible.sum()] >= 0).all():
        return ""
    if row is not rows[index] and is_top_k(rows[index], logprobs):
        return "the mask is ignored"
    if row is not rows[index] and is_top_k(log_softmax(row), logprobs):
        return "normalization after the mask: it only selects, and changes no log-probability"
    if is_top_k(row, logprobs):
        return "the ids do not belong to the log-probabilities"
    if is_top_k(row, row[tokens]):
        return "the tokens are right, but not their log-probabilities"
    return ""
