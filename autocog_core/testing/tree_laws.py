"""Laws of token trees: the hook `greedy_tree_impl`."""

from __future__ import annotations

import numpy as np

from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import (
    Values,
    logprob_distance,
    max_difference,
    require_close,
    round_values,
)
from autocog_core.testing.diagnosis import diagnose_tree
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation
from autocog_core.types.token_tree import TreeQuery, TreeScores

TOP_K = 5


@law("trees")
def tree_scores_match(subject: BackendUnderTest) -> None:
    """Each node of a token tree has the same score as in a separate call."""
    for prompt, prefix in subject.encoded_prompts():
        query = _make_tree(subject, prefix)
        (scores,) = subject.model.client.greedy_tree([query])
        paths = _paths(query)
        nodes = list(zip(query.tokens.tolist(), query.parents.tolist(), strict=True))
        expected = [subject.logprob(paths[parent], token) for token, parent in nodes]
        got = scores.values.tolist()
        subject.are_tolerable(expected, got)
        for node, (right, value) in enumerate(zip(expected, got, strict=True)):
            if logprob_distance(right, value) > subject.tolerance:
                raise LawViolation(
                    f"node {node} of a tree has another score than in a separate call",
                    given=prompt,
                    expected=right,
                    got=value,
                    cause=diagnose_tree(subject, query, paths, expected, got),
                )


@law("trees", "rows")
def top_k_matches(subject: BackendUnderTest) -> None:
    """The top-k tokens of a tree's nodes are those of the row, also with a mask."""
    model = subject.model
    size = model.info.vocabulary_size
    every_third = np.arange(size) % 3 == 0
    for prompt, prefix in subject.encoded_prompts():
        row = model.greedy(prefix)
        for mask in (None, every_third):
            nothing = np.zeros(0, dtype=np.int32)
            query = TreeQuery(
                prefix=prefix,
                tokens=nothing,
                parents=nothing,
                top_at=np.array([-1], dtype=np.int32),
                top_k=min(TOP_K, size // 3),
                mask=mask,
            )
            (scores,) = model.client.greedy_tree([query])
            allowed = row if mask is None else np.where(mask, row, -np.inf)
            expected = np.sort(allowed)[::-1][: query.top_k]
            if not _is_top_k(subject, allowed, expected, scores):
                raise LawViolation(
                    f"the top-k tokens{'' if mask is None else ' with a mask'} are not those of "
                    "the row",
                    given=prompt,
                    expected=round_values(expected),
                    got=round_values(scores.top_logprobs[0][: len(expected)]),
                    cause="wrong sort order, or normalization after the mask",
                )


def _is_top_k(
    subject: BackendUnderTest, allowed: Values, expected: Values, scores: TreeScores
) -> bool:
    """Return whether the possible top-k tokens have the expected log-probabilities."""
    possible = int(np.isfinite(expected).sum())
    if not possible:
        return True
    tokens, logprobs = scores.top_tokens[0][:possible], scores.top_logprobs[0][:possible]
    differences = (expected[:possible], allowed[tokens])
    return all(subject.is_tolerable(max_difference(each, logprobs)) for each in differences)


@law("trees")
def tree_batches_match(subject: BackendUnderTest) -> None:
    """A token tree has the same scores in a batch as alone."""
    client = subject.model.client
    prompts = subject.prompts_out_of_order()
    queries = [_make_tree(subject, subject.encode_prompt(prompt)) for prompt in prompts]
    batch = client.greedy_tree(queries)
    for prompt, query, scores in zip(prompts, queries, batch, strict=True):
        (alone,) = client.greedy_tree([query])
        require_close(
            subject,
            alone.values,
            scores.values,
            "in a batch, a tree has other scores than alone",
            given=prompt,
            cause="padding that is not masked, positions that count padding, or results in "
            "another order than the queries",
        )


def _make_tree(subject: BackendUnderTest, prefix: list[int]) -> TreeQuery:
    """Return a tree of three levels, with the same tokens after different paths."""
    a, b, c = (subject.prompt_token_ids() * 3)[:3]
    return TreeQuery(
        prefix=prefix,
        tokens=np.array([a, b, b, c, b, c, a, a], dtype=np.int32),
        parents=np.array([-1, -1, 0, 0, 1, 1, 2, 4], dtype=np.int32),
        top_at=np.zeros(0, dtype=np.int32),
        top_k=0,
    )


def _paths(query: TreeQuery) -> dict[int, list[int]]:
    """Return the tokens from the start to each node; -1 is the end of the prefix."""
    paths = {-1: list(query.prefix)}
    for node, parent in enumerate(query.parents.tolist()):
        paths[node] = [*paths[parent], int(query.tokens[node])]
    return paths
