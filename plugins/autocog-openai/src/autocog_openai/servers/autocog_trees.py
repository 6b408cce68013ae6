"""Token trees on `autocog serve`: many of them in one request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autocog_core import TreeQuery, TreeScores
from autocog_core.toolkit import limited_groups
from autocog_openai.connection.answer_fields import (
    FieldError,
    as_count,
    as_list,
    as_logprob,
    as_token_id,
    optional,
    reading,
    required,
)
from autocog_openai.connection.client import Connection
from autocog_openai.connection.scorer import PositionAnswer, PositionRequest
from autocog_openai.connection.server_capabilities import ServerCapabilities

#: The most of one request: trees, their tokens with those before them, and listed tokens.
MAX_TREES = 256
MAX_TOKENS = 200_000
MAX_LISTED = 2_000_000


def request_trees(connection: Connection, queries: Sequence[TreeQuery]) -> list[TreeScores]:
    """Return the scores of token trees.

    :param connection: to the server.
    :param queries: the trees.
    :raises MalformedAnswerError: if the server does not return what was requested.
    """
    scores: list[TreeScores] = []
    for batch in limited_groups(queries, _sizes, (MAX_TREES, MAX_TOKENS, MAX_LISTED)):
        body = {
            "model": connection.options.model,
            "queries": [_to_json(query) for query in batch],
        }
        answer = connection.post("v1/token_trees", body)
        with reading(connection.where):
            trees = required(answer, "trees", as_list)
            scores += [_read_scores(query, tree) for query, tree in zip(batch, trees, strict=True)]
    return scores


class TreeScorer:
    """Requests positions one by one, for what is no token tree."""

    def __init__(self, connection: Connection, capabilities: ServerCapabilities) -> None:
        self._connection = connection
        self._size = capabilities.vocabulary_size or 0

    def plan(self, request: PositionRequest, answer: PositionAnswer) -> Sequence[PositionRequest]:
        """Request everything at once."""
        return [request]

    def request(self, request: PositionRequest) -> PositionAnswer:
        """Return the log-probabilities at a position."""
        top_k = self._size if request.top_k < 0 else min(request.top_k, self._size)
        named = list(request.named_ids)
        query = TreeQuery(
            prefix=request.tokens,
            tokens=np.array(named, dtype=np.int32),
            parents=np.full(len(named), -1, dtype=np.int32),
            top_at=np.full(1 if top_k else 0, -1, dtype=np.int32),
            top_k=top_k,
        )
        (scores,) = request_trees(self._connection, [query])
        logprobs = dict(zip(named, scores.values.tolist(), strict=True))
        if top_k:
            listed = zip(
                scores.top_tokens[0].tolist(), scores.top_logprobs[0].tolist(), strict=True
            )
            logprobs |= {token: logprob for token, logprob in listed if token >= 0}
        if request.top_k < 0:
            # Impossible tokens are not listed.
            logprobs |= {token: -math.inf for token in range(self._size) if token not in logprobs}
        return PositionAnswer(
            logprobs=logprobs,
            top_k=request.top_k if request.top_k < 0 else top_k,
            tokens_evaluated=scores.tokens_evaluated,
        )


def _sizes(query: TreeQuery) -> tuple[int, int, int]:
    return 1, len(query.prefix) + len(query.tokens), len(query.top_at) * query.top_k


def _to_json(query: TreeQuery) -> dict[str, Any]:
    body: dict[str, Any] = {"prefix": list(map(int, query.prefix))}
    if len(query.tokens):
        body |= {"tokens": query.tokens.tolist(), "parents": query.parents.tolist()}
    if len(query.top_at):
        body |= {"top_at": query.top_at.tolist(), "top_k": query.top_k}
        if query.mask is not None:
            body["allowed"] = np.flatnonzero(query.mask).tolist()
        if query.with_mask_logprobs:
            body["with_mask_logprobs"] = True
    if query.isolated_start is not None:
        body["isolated_start"] = query.isolated_start
    return body


def _read_scores(query: TreeQuery, tree: Any) -> TreeScores:
    """Return the scores of a tree.

    :raises FieldError: if they are malformed.
    """
    values = _read_logprobs(required(tree, "values", as_list))
    rows = required(tree, "top_tokens", as_list)
    logprobs = required(tree, "top_logprobs", as_list)
    if len(values) != len(query.tokens) or len(rows) != len(query.top_at):
        raise FieldError("there are scores of other nodes")
    top_tokens = np.full((len(rows), query.top_k), -1, dtype=np.int32)
    top_logprobs = np.full((len(rows), query.top_k), -np.inf)
    for index, (row, row_logprobs) in enumerate(zip(rows, logprobs, strict=True)):
        tokens = [as_token_id(token, "top_tokens") for token in as_list(row, "top_tokens")]
        top_tokens[index, : len(tokens)] = tokens
        top_logprobs[index, : len(tokens)] = _read_logprobs(as_list(row_logprobs, "top_logprobs"))
    mask_logprobs = optional(tree, "mask_logprobs", as_list)
    return TreeScores(
        values=np.array(values, dtype=np.float64),
        top_tokens=top_tokens,
        top_logprobs=top_logprobs,
        mask_logprobs=None
        if mask_logprobs is None
        else np.array(_read_logprobs(mask_logprobs), dtype=np.float64),
        tokens_evaluated=required(tree, "tokens_evaluated", as_count),
    )


def _read_logprobs(values: Sequence[Any]) -> list[float]:
    logprobs = [as_logprob(value, "log-probability") for value in values]
    return [-math.inf if logprob is None else logprob for logprob in logprobs]
