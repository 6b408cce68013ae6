"""Sample a next token from a row of log-probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.numerics import top_k_ids
from autocog_core.types.completion import CompletionRequest

#: Ids that are sorted at first where `top_p` or `min_p` may keep few; eight times as many follow.
FIRST_CANDIDATES = 256


def sample_token(
    row: NDArray[np.floating[Any]], request: CompletionRequest, generator: np.random.Generator
) -> int:
    """Return the next token: the likeliest at temperature 0 (ties: the lower id), else a sample.

    Filters apply in the order of Transformers: temperature, top_k, top_p, min_p.

    :param row: log-probabilities or logits (V,).
    :param request: the sampling parameters.
    :param generator: the source of random numbers.
    """
    if request.temperature == 0:
        return int(np.argmax(row))
    # Subtracting the maximum first: a tiny temperature then sends the others to -inf, not all.
    with np.errstate(over="ignore"):
        weights = np.exp((row.astype(np.float64) - row.max()) / request.temperature)
    order = _candidates(row, weights, request)
    count = len(order)
    probabilities = weights[order] / weights[order].sum()
    if request.top_p < 1:
        # The fewest tokens that reach top_p: a token stays while those before it fall short.
        whole = probabilities if request.top_k > 0 else weights[order] / weights.sum()
        count = int(np.count_nonzero(np.cumsum(whole) - whole < request.top_p))
    if request.min_p > 0:
        above = np.count_nonzero(probabilities >= request.min_p * probabilities[0])
        count = min(count, int(above))
    count = max(1, count)
    probabilities = weights[order[:count]] / weights[order[:count]].sum()
    return int(order[generator.choice(count, p=probabilities)])


def _candidates(
    row: NDArray[np.floating[Any]], weights: NDArray[np.float64], request: CompletionRequest
) -> NDArray[np.int64]:
    """Return the ids that may be sampled: likeliest first if a filter depends on their order.

    Sorting a large vocabulary takes longer than some models' forward pass: ids that `top_p` drops
    for sure are not sorted.
    """
    if request.top_k > 0:
        return top_k_ids(row, request.top_k)
    if request.top_p == 1 and request.min_p == 0:
        return np.flatnonzero(weights)
    count = FIRST_CANDIDATES
    min_weight = request.min_p if request.top_p == 1 else 0.0
    goal = request.top_p * weights.sum()
    while count < len(row):
        ids = top_k_ids(row, count)
        candidates = weights[ids]
        if candidates[-1] < min_weight or (request.top_p < 1 and candidates.sum() >= goal):
            return ids
        count *= 8
    return top_k_ids(row, len(row))
