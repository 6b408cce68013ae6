"""Log-space arithmetic: natural logs, float32 rows, float64 sums, no products of probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]


def logsumexp(values: ArrayLike) -> float:
    """log(sum(exp(values))) over all values; -inf for none, or for nothing but -inf."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return float("-inf")
    top = float(array.max())
    if not np.isfinite(top):
        return top
    return top + float(np.log(np.exp(array - top).sum()))


def log_softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Logits (..., V) to natural log-probabilities, float32 (..., V), each <= 0."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    wide -= np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return np.minimum(wide, 0.0).astype(np.float32)


def softmax(scores: ArrayLike) -> Float64Array:
    """Scores (n,) in log space to probabilities that sum to 1.

    Equal scores get equal shares, also where all of them are -inf: no division by zero. Where some
    are +inf, these share everything.
    """
    array = np.asarray(scores, dtype=np.float64)
    top = array.max()
    # No difference where the best is infinite: inf - inf is NaN.
    shares = np.exp(array - top) if np.isfinite(top) else (array == top).astype(np.float64)
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def entropy(probabilities: Float64Array) -> float:
    """-sum(p log p) in nats; 0 for a certain outcome."""
    positive = probabilities[probabilities > 0]
    return max(0.0, float(-(positive * np.log(positive)).sum()))


def log1m_sum_exp(values: Float64Array) -> float:
    """log(1 - sum(exp(values))); -inf where rounding makes the sum 1 or more."""
    taken = float(np.exp(values).sum())
    return float("-inf") if taken >= 1.0 else float(np.log1p(-taken))


Int64Array = NDArray[np.int64]


def logsumexp_row(logits: NDArray[np.float32]) -> float:
    """Logsumexp of one row (V,), within 1e-6 nats, in one pass over float32."""
    top = logits.max()
    # Pairwise sums of float32 are off by 1e-7 of the whole even for large vocabularies.
    return float(top) + float(np.log(np.exp(logits - top).sum(), dtype=np.float64))


def top_k_ids(
    row: NDArray[np.floating[Any]], count: int, mask: NDArray[np.bool_] | None = None
) -> Int64Array:
    """The `count` likeliest ids of `row` where `mask` allows, likeliest first (ties: lower id)."""
    allowed = np.isfinite(row) if mask is None else np.isfinite(row) & mask
    ids = np.flatnonzero(allowed)
    if 0 < count < len(ids):
        # Only what reaches the least of them is sorted.
        scores = row[ids]
        ids = ids[scores >= np.partition(scores, len(ids) - count)[len(ids) - count]]
    return ids[np.argsort(-row[ids], kind="stable")[:count]]


def to_json_number(value: float | None) -> float | None:
    """JSON has no infinity: -inf (probability 0) becomes None."""
    return None if value is None or np.isinf(value) else float(value)
