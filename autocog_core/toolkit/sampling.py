"""Picking a next token from a row of log-probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.numerics import top_k_ids
from autocog_core.types.completion import CompletionRequest


def sample_token(
    row: NDArray[np.floating[Any]], request: CompletionRequest, generator: np.random.Generator
) -> int:
    """The next token: the likeliest at temperature 0 (ties: the lower id), else a sampled one.

    Filters apply in the order that Transformers uses: temperature, top_k, top_p, min_p.
    """
    if request.temperature == 0:
        return int(np.argmax(row))
    # The likeliest is moved to 0 first: a tiny temperature then sends the others to -inf, not all.
    with np.errstate(over="ignore"):
        weights = np.exp((row.astype(np.float64) - row.max()) / request.temperature)
    order = _candidates(row, weights, request)
    keep = len(order)
    shares = weights[order] / weights[order].sum()
    if request.top_p < 1:
        # The fewest tokens that reach top_p: a token stays while those before it fall short.
        whole = shares if request.top_k > 0 else weights[order] / weights.sum()
        keep = int(np.count_nonzero(np.cumsum(whole) - whole < request.top_p))
    if request.min_p > 0:
        keep = min(keep, int(np.count_nonzero(shares >= request.min_p * shares[0])))
    keep = max(1, keep)
    shares = weights[order[:keep]] / weights[order[:keep]].sum()
    return int(order[generator.choice(keep, p=shares)])


def _candidates(
    row: NDArray[np.floating[Any]], weights: NDArray[np.float64], request: CompletionRequest
) -> NDArray[np.int64]:
    """The ids that may be picked: likeliest first where a filter looks at their order.

    Sorting a large vocabulary takes longer than some models' forward pass: of what `top_p` is sure
    to drop, nothing is sorted.
    """
    if request.top_k > 0:
        return top_k_ids(row, request.top_k)
    if request.top_p == 1 and request.min_p == 0:
        return np.flatnonzero(weights)
    count = 256
    least = request.min_p if request.top_p == 1 else 0.0
    goal = request.top_p * weights.sum()
    while count < len(row):
        ids = top_k_ids(row, count)
        found = weights[ids]
        if found[-1] < least or (request.top_p < 1 and found.sum() >= goal):
            return ids
        count *= 8
    return top_k_ids(row, len(row))
