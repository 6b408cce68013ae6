"""Laws of token trees: the hook `greedy_tree_impl`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.batch_diagnosis import diagnose_batch, diagnose_top_k
from autocog_core.testing.comparison import (
    Values,
    logprob_distance,
    max_difference,
    round_values,
)
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation
from autocog_core.testing.texts import out_of_order
from autocog_core.testing.tree_diagnosis import WrongTree, diagnose_tree
from autocog_core.types.token_tree import TreeQuery

TOP_K = 5
#: Nodes of `make_tree` after which the likeliest next tokens are compared; -1 is the prefix.
TOP_AT = (-1, 0, 4)


@law("trees")
def tree_scores_match(subject: BackendUnderTest) -> None:
    """Each node of a token tree has the same score as in a separate call."""
    for prompt, prefix in subject.encoded_prompts():
        query = make_tree(subject, prefix)
        (scores,) = subject.raw.trees([query])
        paths = _paths(query)
        nodes = list(zip(query.tokens.tolist(), query.parents.tolist(), strict=True))
        expected = [subject.logprob(paths[parent], token) for token, parent in nodes]
        got = scores.values.tolist()
        subject.are_tolerable(expected, got)
        for node, (right, value) in enumerate(zip(expected, got, strict=True)):
            if logprob_distance(right, value) > subject.tolerance:
                wrong = WrongTree(
                    subject=subject, query=query, paths=paths, expected=expected, got=got
                )
                raise LawViolation(
                    f"node {node} of a tree has another score than in a separate call",
                    given=prompt,
                    expected=right,
                    got=value,
                    cause=diagnose_tree(wrong),
                )


@law("trees", "rows")
def top_k_matches(subject: BackendUnderTest) -> None:
    """The top-k tokens of a tree's nodes are those of the row, also with a mask."""
    model = subject.model
    size = model.info.vocabulary_size
    every_third = np.arange(size) % 3 == 0
    for prompt, prefix in subject.encoded_prompts():
        tree = make_tree(subject, prefix)
        paths = _paths(tree)
        rows = [model.greedy(paths[node]).copy() for node in TOP_AT]
        for mask in (None, every_third):
            query = replace(
                tree,
                top_at=np.array(TOP_AT, dtype=np.int32),
                top_k=min(TOP_K, size // 3),
                mask=mask,
            )
            (scores,) = subject.raw.trees([query])
            allowed = [row if mask is None else np.where(mask, row, -np.inf) for row in rows]
            for index, row in enumerate(allowed):
                tops = (scores.top_tokens[index], scores.top_logprobs[index])
                expected = np.sort(row)[::-1][: query.top_k]
                if not _is_top_k(subject, row, expected, *tops):
                    masked = "" if mask is None else " with a mask"
                    raise LawViolation(
                        f"the top-k tokens{masked} are not those of the row",
                        given=(prompt, f"node {TOP_AT[index]}"),
                        expected=round_values(expected),
                        got=round_values(tops[1][: len(expected)]),
                        cause=diagnose_top_k(subject, allowed, rows, index, *tops),
                    )


def _is_top_k(
    subject: BackendUnderTest, row: Values, expected: Values, tokens: Values, logprobs: Values
) -> bool:
    """Return whether the possible top-k tokens have the expected log-probabilities."""
    possible = int(np.isfinite(expected).sum())
    tokens, logprobs = tokens[:possible], logprobs[:possible]
    if len(tokens) < possible or (tokens < 0).any() or len(set(tokens.tolist())) < possible:
        return False
    # Among equally likely tokens, rounding decides the order.
    differences = (expected[:possible], row[tokens])
    return all(subject.is_tolerable(max_difference(each, logprobs)) for each in differences)


@law("trees")
def tree_batches_match(subject: BackendUnderTest) -> None:
    """A token tree has the same scores in a batch as alone."""
    prompts = out_of_order(subject.prompts)
    queries = [make_tree(subject, subject.encode_prompt(prompt)) for prompt in prompts]
    batch = [scores.values for scores in subject.raw.trees(queries)]
    alone = [subject.raw.trees([query])[0].values for query in queries]
    for prompt, expected, got in zip(prompts, alone, batch, strict=True):
        difference = max_difference(expected, got)
        if not subject.is_tolerable(difference):
            raise LawViolation(
                "in a batch, a tree has other scores than alone",
                given=prompt,
                expected=f"differences of at most {subject.tolerance:g}",
                got=difference,
                cause=diagnose_batch(subject, queries, alone, batch),
            )


def make_tree(subject: BackendUnderTest, prefix: list[int]) -> TreeQuery:
    """Return a tree of three levels, with the same tokens after different paths."""
    a, b, c = (subject.prompt_token_ids() * 3)[:3]
    return TreeQuery(
        prefix=prefix,
        tokens=np.array([a, b, b, c, b, c, a, a], dtype=np.int32),
        parents=np.array([-1, -1, 0, 0, 1, 1, 2, 4], dtype=np.int32),
    )


def _paths(query: TreeQuery) -> dict[int, list[int]]:
    """Return the tokens from the start to each node; -1 is the end of the prefix."""
    paths = {-1: list(query.prefix)}
    for node, parent in enumerate(query.parents.tolist()):
        paths[node] = [*paths[parent], int(query.tokens[node])]
    return paths
