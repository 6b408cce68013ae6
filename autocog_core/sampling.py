"""Picking a next token from a row of log-probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.types import CompletionRequest


def pick(
    row: NDArray[np.floating[Any]], request: CompletionRequest, generator: np.random.Generator
) -> int:
    """The next token: the likeliest at temperature 0 (ties: the lower id), else a sampled one.

    Filters apply in the order that Transformers uses: temperature, top_k, top_p, min_p.
    """
    if request.temperature == 0:
        return int(np.argmax(row))
    # Sorted once, likeliest first; a stable sort keeps the lower id first among equals.
    order = np.argsort(-row, kind="stable")
    scores = row[order].astype(np.float64)
    # The likeliest is moved to 0 first: a tiny temperature then sends the others to -inf, not all.
    with np.errstate(over="ignore"):
        weights = np.exp((scores - scores[0]) / request.temperature)
    keep = len(order)
    if request.top_k > 0:
        keep = min(keep, request.top_k)
    shares = weights[:keep] / weights[:keep].sum()
    if request.top_p < 1:
        # The fewest tokens that reach top_p: a token stays while those before it fall short.
        keep = int(np.count_nonzero(np.cumsum(shares) - shares < request.top_p))
    if request.min_p > 0:
        keep = min(keep, int(np.count_nonzero(shares >= request.min_p * shares[0])))
    keep = max(1, keep)
    shares = weights[:keep] / weights[:keep].sum()
    return int(order[generator.choice(keep, p=shares)])
