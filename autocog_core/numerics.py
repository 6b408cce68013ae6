"""Arithmetic in log space: natural logarithms, rows in float32, sums in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]
#: 95% of a normal distribution lie within this many standard deviations.
Z_95 = 1.959963984540054


def logsumexp(values: ArrayLike) -> float:
    """Return log(sum(exp(values))) over all values; -inf if there are none.

    :param values: any shape; -inf is allowed.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return float("-inf")
    top = float(array.max())
    if not np.isfinite(top):
        return top
    return top + float(np.log(np.exp(array - top).sum()))


def log_softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the log-probabilities of logits, each <= 0.

    :param logits: (..., V).
    :returns: float32 (..., V).
    """
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    wide -= np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return np.minimum(wide, 0.0).astype(np.float32)


def softmax(scores: ArrayLike) -> Float64Array:
    """Return probabilities that sum to 1.

    Equal scores get equal probabilities, even if all are -inf. If some are +inf, all others get 0.

    :param scores: (n,), in log space, at least one.
    :returns: (n,).
    """
    array = np.asarray(scores, dtype=np.float64)
    top = array.max()
    # inf - inf is NaN.
    weights = np.exp(array - top) if np.isfinite(top) else (array == top).astype(np.float64)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def entropy(probabilities: Float64Array) -> float:
    """Return the entropy in nats, which is 0 for a certain outcome.

    :param probabilities: they sum to 1.
    """
    positive = probabilities[probabilities > 0]
    return max(0.0, float(-(positive * np.log(positive)).sum()))


def log1m_sum_exp(values: Float64Array) -> float:
    """Return log(1 - sum(exp(values))); -inf if the sum is 1, or more by rounding.

    :param values: log-probabilities.
    """
    total = float(np.exp(values).sum())
    return float("-inf") if total >= 1.0 else float(np.log1p(-total))


def logsumexp_row(logits: NDArray[np.floating[Any]]) -> float:
    """Return the logsumexp of one row, in its precision: in float32 exact to 1e-6 nats.

    :param logits: (V,).
    """
    top = logits.max()
    # NumPy's pairwise sums in float32 have a relative error of 1e-7, even for large vocabularies.
    return float(top) + float(np.log(np.exp(logits - top).sum(), dtype=np.float64))


def mask_logsumexp(row: NDArray[np.floating[Any]], mask: NDArray[np.bool_] | None) -> float:
    """Return the logsumexp of the scores in a mask; -inf if it holds none that is finite.

    :param row: (V,).
    :param mask: (V,), the allowed ids; None for all.
    """
    scores = row if mask is None else row[mask]
    if not len(scores) or scores.max() == -np.inf:
        return -math.inf
    return logsumexp_row(scores)


def top_k_ids(
    row: NDArray[np.floating[Any]], count: int, mask: NDArray[np.bool_] | None = None
) -> Int64Array:
    """Return the ids with the highest scores, highest first (ties: lower id).

    :param row: (V,); ids with infinite scores are left out.
    :param count: the number of ids.
    :param mask: (V,), the allowed ids; None for all.
    """
    allowed = np.isfinite(row) if mask is None else np.isfinite(row) & mask
    ids = np.flatnonzero(allowed)
    if 0 < count < len(ids):
        # Sort only those that reach the lowest of the top scores.
        scores = row[ids]
        kth = len(ids) - count
        # A maximum takes a fraction of the time of a partition.
        lowest = scores.max() if count == 1 else np.partition(scores, kth)[kth]
        ids = ids[scores >= lowest]
    return ids[np.argsort(-row[ids], kind="stable")[:count]]


def renormalized_sum(logprobs: Sequence[float], allowed: Sequence[float]) -> float:
    """Return the log-probability of tokens, each given that it is one of the allowed ones.

    :param logprobs: (n,), the log-probability of each token.
    :param allowed: (n,), the log of the probability of all tokens that were allowed in its place.
    """
    # Rounding may put a share above 1. -inf - -inf would be NaN: nothing with a probability.
    return float(
        sum(
            min(0.0, logprob - mass) if logprob > -math.inf else -math.inf
            for logprob, mass in zip(logprobs, allowed, strict=True)
        )
    )


def divergence(first: ArrayLike, second: ArrayLike) -> float:
    """Return KL(first || second) of two distributions, in nats: at least 0, and maybe infinite.

    :param first: (n,), log-probabilities; they are normalized to sum to 1.
    :param second: (n,), likewise.
    """
    rows = [np.asarray(row, dtype=np.float64) for row in (first, second)]
    first_row, second_row = (row - logsumexp(row) for row in rows)
    possible = np.isfinite(first_row)
    weights = np.exp(first_row[possible])
    return max(0.0, float((weights * (first_row[possible] - second_row[possible])).sum()))


def share_divergence(first: Sequence[float], second: Sequence[float]) -> float:
    """Return KL(first || second) of two lists of probabilities: see `divergence`.

    :param first: (n,), probabilities with a sum above 0.
    :param second: (n,), likewise.
    """
    with np.errstate(divide="ignore"):
        return divergence(np.log(first), np.log(second))


def wilson_interval(right: int, answered: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of the share `right / answered`."""
    share = right / answered
    spread = Z_95 * math.sqrt(share * (1 - share) / answered + Z_95**2 / (4 * answered**2))
    scale = 1 + Z_95**2 / answered
    middle = share + Z_95**2 / (2 * answered)
    # Shares of 0 and 1 are exact ends of the interval; rounding would miss them.
    low = 0.0 if right == 0 else (middle - spread) / scale
    high = 1.0 if right == answered else (middle + spread) / scale
    return low, high
