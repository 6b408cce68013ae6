"""Many token trees for an engine, in calls that its memory can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autocog_core.hooks.client import BackendClient
from autocog_core.toolkit.limited_groups import limited_groups
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
    limits = (MAX_TOKENS_PER_CALL, MAX_PROBABILITIES_PER_CALL)
    for batch in limited_groups(queries, _sizes, limits):
        yield from client.greedy_tree(batch)


def _sizes(query: TreeQuery) -> tuple[int, int]:
    return len(query.prefix) + len(query.tokens), len(query.top_at) * query.top_k
