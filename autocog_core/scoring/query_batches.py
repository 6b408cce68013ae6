"""Many token trees for an engine, in calls that its memory can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autocog_core.hooks.client import BackendClient
from autocog_core.types.token_tree import TreeQuery, TreeScores

#: Maximum number of tokens to score, and of probabilities to receive, in one call of the engine.
MAX_TOKENS_PER_CALL = 8192
MAX_PROBABILITIES_PER_CALL = 8_000_000


def score_queries(client: BackendClient, queries: Sequence[TreeQuery]) -> Iterator[TreeScores]:
    """Yield the scores of token trees in order, with few calls of the engine.

    :param client: the model's client.
    :param queries: the trees.
    :raises CapabilityError: if the backend has no log-probabilities.
    """
    for batch in _batches(queries):
        yield from client.greedy_tree(batch)


def _batches(queries: Sequence[TreeQuery]) -> Iterator[list[TreeQuery]]:
    """Yield the queries in groups that an engine's memory can take."""
    batch: list[TreeQuery] = []
    tokens = probabilities = 0
    for query in queries:
        more_tokens = len(query.prefix) + len(query.tokens)
        more_probabilities = len(query.top_at) * query.top_k
        if batch and (
            tokens + more_tokens > MAX_TOKENS_PER_CALL
            or probabilities + more_probabilities > MAX_PROBABILITIES_PER_CALL
        ):
            yield batch
            batch, tokens, probabilities = [], 0, 0
        batch.append(query)
        tokens += more_tokens
        probabilities += more_probabilities
    if batch:
        yield batch
