"""Likely causes of wrong numbers: each known mistake is tested as an explanation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import logprob_distance

OFF_BY_ONE = "off by one"


def diagnose_row(row: np.ndarray) -> str:
    """Return why an array is not a distribution of log-probabilities."""
    values = np.asarray(row, dtype=np.float64)
    if np.isnan(values).any():
        return (
            "NaN in the logits: damaged weights, attention with everything masked, or an overflow "
            "of 16-bit numbers (then compute in float32)"
        )
    if np.isposinf(values).any():
        return "an overflow, for example of float16: compute the softmax in float32"
    if not np.isfinite(values).any():
        return (
            "every token is impossible: a mask that excludes all, or an overflow of float16 "
            "(then compute the softmax in float32)"
        )
    if (decimals := _count_decimals(values)) is not None:
        return f"rounded to {decimals} decimals: return unrounded log-probabilities"
    top = float(values.max())
    if _sums_to_one(values, np.exp(1.0)):
        return "" if top <= 0 else "rounding above 0: clip at 0"
    if _sums_to_one(-values, np.exp(1.0)):
        return "the sign: these are negative log-likelihoods, so negate them"
    if values.min() >= 0 and abs(values.sum() - 1) < 1e-2:
        return "these are probabilities: return their natural logarithms"
    for base in (2.0, 10.0):
        if _sums_to_one(values, base):
            return f"logarithms to base {base:g}: return natural logarithms"
    if top > 0:
        return "these are raw logits: subtract their logsumexp (log_softmax)"
    if np.isneginf(values).any():
        return "tokens were left out (top-k, a mask, padding): normalize over all, unmasked"
    return "it is not normalized: subtract the logsumexp over the whole vocabulary"


def _count_decimals(values: np.ndarray) -> int | None:
    """Return to how many decimals log-probabilities are rounded, or None if they are not."""
    finite = values[np.isfinite(values)]
    if finite.max() > 0 or abs(float(np.exp(finite).sum()) - 1) > 0.1:
        return None
    # The precision of float32.
    precision = 1e-6 * np.maximum(1, np.abs(finite))
    return next(
        (
            decimals
            for decimals in (1, 2, 3)
            if (np.abs(finite - finite.round(decimals)) < precision).all()
        ),
        None,
    )


def _sums_to_one(values: np.ndarray, base: float) -> bool:
    with np.errstate(over="ignore"):
        return abs(float(np.power(base, values).sum()) - 1) < 1e-2


def diagnose_scores(
    subject: BackendUnderTest, tokens: Sequence[int], start: int, got: Sequence[float]
) -> str:
    """Return why the scores `got` of `tokens[start:]` differ from those of plain rows."""
    count = len(tokens) - start
    if _explains(subject, [-value for value in got], _shifted_scores(subject, tokens, start, 0)):
        return "the sign: scores are negative log-likelihoods"
    others = _shifted_scores(subject, tokens, start + 1, 0) if count > 1 else []
    if len(got) == count - 1 and _explains(subject, got, others):
        return "the first token is not scored"
    if len(got) != count:
        return ""
    for shift, position in ((1, "next"), (-1, "previous")):
        if _explains(subject, got, _shifted_scores(subject, tokens, start, shift)):
            return f"scores are those of the {position} position: {OFF_BY_ONE}"
    bos = subject.model.info.bos
    if bos is not None:
        if _explains(subject, got, _shifted_scores(subject, [bos, *tokens], start + 1, 0)):
            return "BOS is added a second time"
        without_bos = tokens[1:] if tokens[0] == bos and start > 1 else None
        if without_bos and _explains(
            subject, got, _shifted_scores(subject, without_bos, start - 1, 0)
        ):
            return "BOS is left out"
    return ""


def _shifted_scores(
    subject: BackendUnderTest, tokens: Sequence[int], start: int, shift: int
) -> list[float] | None:
    """Return the scores of `tokens[start:]` as read `shift` positions too late.

    A position outside the sequence has NaN, which matches every number; None if all are outside.
    """
    scores = []
    for position in range(start, len(tokens)):
        length = position + shift
        is_inside = 0 < length <= len(tokens)
        scores.append(subject.logprob(tokens[:length], tokens[position]) if is_inside else np.nan)
    return scores if not all(map(np.isnan, scores)) else None


def _explains(
    subject: BackendUnderTest, got: Sequence[float], scores: Sequence[float] | None
) -> bool:
    """Return whether the scores of a mistake equal `got`; NaN equals every number."""
    if scores is None or len(got) != len(scores):
        return False
    return all(
        bool(np.isnan(score)) or logprob_distance(value, score) <= subject.tolerance
        for value, score in zip(got, scores, strict=True)
    )
