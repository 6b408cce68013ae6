"""Laws of token trees: what `greedy_tree_impl` answers, or core makes of rows."""

from __future__ import annotations

import numpy as np

from autocog_core.testing.backend_under_test import (
    BackendUnderTest,
    logprob_distance,
    max_difference,
    require_near,
)
from autocog_core.testing.diagnosis import diagnose_tree
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation
from autocog_core.types.token_tree import TreeQuery

#: Of `TreeQuery.top_k`.
TOP = 5


@law("trees")
def tree_scores_match(subject: BackendUnderTest) -> None:
    """A token tree's scores are those of its nodes, each asked for by itself."""
    for prompt in subject.prompts:
        query = _tree(subject, subject.encode_prompt(prompt))
        (found,) = subject.model.client.greedy_tree([query])
        paths = _paths(query)
        nodes = list(zip(query.tokens.tolist(), query.parents.tolist(), strict=True))
        expected = [subject.logprob(paths[parent], token) for token, parent in nodes]
        for node, (right, got) in enumerate(zip(expected, found.values.tolist(), strict=True)):
            if not logprob_distance(right, got) <= subject.tolerance:
                raise LawViolation(
                    f"node {node} of a tree has another score than by itself",
                    given=prompt,
                    expected=right,
                    got=got,
                    cause=diagnose_tree(subject, query, paths, expected, found.values.tolist()),
                )


@law("trees", "rows")
def top_k_matches(subject: BackendUnderTest) -> None:
    """The likeliest tokens at a tree's nodes are those of the rows, also under a mask."""
    model = subject.model
    size = model.info.vocabulary_size
    mask = np.arange(size) % 3 == 0
    for prompt in subject.prompts:
        prefix = subject.encode_prompt(prompt)
        row = model.greedy(prefix)
        nothing = np.zeros(0, dtype=np.int32)
        at = np.array([-1], dtype=np.int32)
        for allowed in (None, mask):
            query = TreeQuery(
                prefix=prefix,
                tokens=nothing,
                parents=nothing,
                top_at=at,
                top_k=min(TOP, size // 3),
                mask=allowed,
            )
            (found,) = model.client.greedy_tree([query])
            kept = row if allowed is None else np.where(allowed, row, -np.inf)
            expected = np.sort(kept)[::-1][: query.top_k]
            got = found.top_logprobs[0][: len(expected)]
            tokens = found.top_tokens[0]
            possible = int(np.isfinite(expected).sum())
            right = max_difference(
                expected[:possible], got[:possible]
            ) <= subject.tolerance and all(
                abs(float(kept[token]) - value) <= subject.tolerance
                for token, value in zip(tokens[:possible].tolist(), got[:possible], strict=True)
            )
            if possible and not right:
                raise LawViolation(
                    "the likeliest tokens"
                    + (" under a mask" if allowed is not None else "")
                    + " are others than those of the row",
                    given=prompt,
                    expected=[round(float(value), 4) for value in expected],
                    got=[round(float(value), 4) for value in got],
                    cause="sorted the wrong way, or normalised after the mask",
                )


@law("trees")
def tree_batches_match(subject: BackendUnderTest) -> None:
    """Trees that are asked for together have the scores of each alone."""
    model = subject.model
    # Neither from short to long nor back: engines sort them, and may forget to sort back.
    prompts = [*subject.prompts[1:], subject.prompts[0]]
    queries = [_tree(subject, subject.encode_prompt(prompt)) for prompt in prompts]
    together = model.client.greedy_tree(queries)
    for prompt, query, found in zip(prompts, queries, together, strict=True):
        (alone,) = model.client.greedy_tree([query])
        require_near(
            subject,
            alone.values,
            found.values,
            "beside others, a tree has other scores than alone",
            given=prompt,
            cause="padding that is not masked, positions that count it, or answers in another "
            "order than the queries",
        )


def _tree(subject: BackendUnderTest, prefix: list[int]) -> TreeQuery:
    """Three levels below the prefix: the same tokens below different ones."""
    # Ids that texts have: some servers do not tell how many there are.
    ids = sorted({token for prompt in subject.prompts for token in subject.model.encode(prompt)})
    one, two, three = (ids * 3)[:3]
    tokens = [one, two, two, three, two, three, one, one]
    parents = [-1, -1, 0, 0, 1, 1, 2, 4]
    nothing = np.zeros(0, dtype=np.int32)
    return TreeQuery(
        prefix=prefix,
        tokens=np.array(tokens, dtype=np.int32),
        parents=np.array(parents, dtype=np.int32),
        top_at=nothing,
        top_k=0,
    )


def _paths(query: TreeQuery) -> dict[int, list[int]]:
    paths = {-1: list(query.prefix)}
    for node, parent in enumerate(query.parents.tolist()):
        paths[node] = [*paths[parent], int(query.tokens[node])]
    return paths
