"""Distributions of the next token in two models, after the same ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autocog_core.hooks.client import BackendClient
from autocog_core.numerics import Float64Array, divergence
from autocog_core.scoring.query_batches import MAX_PROBABILITIES_PER_CALL
from autocog_core.types.token_tree import Int32Array, TokenTree, TreeQuery

#: Maximum number of positions in one call. Each has a row of the whole vocabulary.
MAX_POSITIONS_PER_CALL = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """A position in both models.

    :ivar ids: the ids before it.
    :ivar divergence: KL(first || second) of the next token.
    :ivar is_same_top: whether both models have the same likeliest token.
    """

    ids: tuple[int, ...]
    divergence: float
    is_same_top: bool


def compare_positions(
    first: BackendClient,
    second: BackendClient,
    prefix: Sequence[int],
    sequences: Sequence[Sequence[int]],
) -> Iterator[Position]:
    """Yield the positions before each token of some sequences, each position once.

    :param first: a model's client.
    :param second: another one's, with the same vocabulary.
    :param prefix: the ids before the sequences.
    :param sequences: the sequences, at least one.
    """
    limit = min(
        MAX_POSITIONS_PER_CALL,
        max(1, MAX_PROBABILITIES_PER_CALL // first.info.vocabulary_size),
    )
    for query in _queries(tuple(prefix), sequences, limit):
        rows = _read_rows(first, query), _read_rows(second, query)
        for node, first_row, second_row in zip(query.top_at.tolist(), *rows, strict=True):
            yield Position(
                ids=(*query.prefix, *_path(query, node)),
                divergence=divergence(first_row, second_row),
                is_same_top=bool(first_row.argmax() == second_row.argmax()),
            )


def _queries(
    prefix: tuple[int, ...], sequences: Sequence[Sequence[int]], limit: int
) -> Iterator[TreeQuery]:
    if len(sequences) == 1:
        # A long text goes on with a longer prefix: engines keep what they have evaluated.
        tokens = tuple(sequences[0])
        for start in range(0, max(1, len(tokens)), limit):
            part = tokens[start : start + limit]
            chain = np.arange(-1, len(part) - 1, dtype=np.int32)
            before = chain if part else np.array([-1], dtype=np.int32)
            yield _query((*prefix, *tokens[:start]), np.array(part, dtype=np.int32), chain, before)
        return
    tree = TokenTree.build(sequences)
    inner = np.unique(np.append(tree.parents, -1)).astype(np.int32)
    for start in range(0, len(inner), limit):
        yield _query(prefix, tree.tokens, tree.parents, inner[start : start + limit])


def _query(
    prefix: tuple[int, ...], tokens: Int32Array, parents: Int32Array, top_at: Int32Array
) -> TreeQuery:
    return TreeQuery(prefix=prefix, tokens=tokens, parents=parents, top_at=top_at)


def _read_rows(client: BackendClient, query: TreeQuery) -> Float64Array:
    """Return the log-probabilities of all next tokens at the query's positions: (m, V)."""
    size = client.info.vocabulary_size
    scores = client.greedy_tree([replace(query, top_k=size)])[0]
    rows = np.full((len(query.top_at), size), -np.inf)
    # The likeliest tokens come sorted, and rows with fewer are filled up with -1.
    for row, ids, logprobs in zip(rows, scores.top_tokens, scores.top_logprobs, strict=True):
        row[ids[ids >= 0]] = logprobs[ids >= 0]
    return rows


def _path(query: TreeQuery, node: int) -> list[int]:
    path = []
    while node >= 0:
        path.append(int(query.tokens[node]))
        node = int(query.parents[node])
    return path[::-1]
