"""Token trees on a tiny model, and their scores compared with plain forwards."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core import TreeQuery
from autocog_core.types.token_tree import TokenTree
from tests.support.tf import plain_forward as plain
from tests.support.tf import tiny_models as tiny

TOLERANCE = 1e-4
ENGINE = tiny.tiny_engine("llama")
_rows: dict[tuple[int, ...], NDArray[np.float64]] = {}


def plain_row(tokens: list[int]) -> NDArray[np.float64]:
    key = tuple(tokens)
    if key not in _rows:
        _rows[key] = plain.row(ENGINE.model, tokens)
    return _rows[key]


def path_to(query: TreeQuery, node: int) -> list[int]:
    path: list[int] = []
    while node >= 0:
        path.insert(0, int(query.tokens[node]))
        node = int(query.parents[node])
    return path


def check(queries: list[TreeQuery], answers: list[Any]) -> None:
    for query, answer in zip(queries, answers, strict=True):
        for node, parent in enumerate(query.parents.tolist()):
            row = plain_row([*query.prefix, *path_to(query, parent)])
            assert abs(answer.values[node] - row[query.tokens[node]]) < TOLERANCE
        for index, node in enumerate(query.top_at.tolist()):
            row = plain_row([*query.prefix, *path_to(query, node)])
            allowed = np.flatnonzero(query.mask) if query.mask is not None else np.arange(len(row))
            best = sorted(row[allowed], reverse=True)[: query.top_k]
            logprobs = answer.top_logprobs[index][: len(best)]
            np.testing.assert_allclose(logprobs, best, atol=TOLERANCE)
            tokens = answer.top_tokens[index][: len(best)]
            np.testing.assert_allclose(row[tokens], best, atol=TOLERANCE)
            assert (answer.top_tokens[index][len(best) :] == -1).all()


def query_of(prefix: list[int], *sequences: list[int]) -> TreeQuery:
    tree = TokenTree.build(sequences)
    return TreeQuery(prefix=prefix, tokens=tree.tokens, parents=tree.parents)
