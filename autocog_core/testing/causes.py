"""What is likely the matter with numbers that are wrong: known mistakes are tried on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autocog_core.testing.subject import Subject, apart

OFF_BY_ONE = "off by one"


def cause_of_row(row: np.ndarray) -> str:
    """Why an array is no distribution of log-probabilities."""
    values = np.asarray(row, dtype=np.float64)
    if np.isnan(values).any():
        return "an overflow, of float16 say: compute the softmax in float32"
    if not np.isfinite(values).any():
        return "every token is impossible: an overflow of float16? compute the softmax in float32"
    top = float(values.max())
    if _sums_to_one(values, np.exp(1.0)):
        return "" if top <= 0 else "rounding above 0: clip at 0"
    if _sums_to_one(-values, np.exp(1.0)):
        return "the sign: these are negative log-likelihoods, so negate them"
    if values.min() >= 0 and abs(values.sum() - 1) < 1e-2:
        return "these are probabilities: take their natural logarithms"
    for base in (2.0, 10.0):
        if _sums_to_one(values, base):
            return f"logarithms to base {base:g}: give natural ones"
    if top > 0:
        return "these are raw logits: subtract their logsumexp (log_softmax)"
    if np.isneginf(values).any():
        return "tokens were left out (a top-k, a mask, padding): normalise over all, unmasked"
    return "it is not normalised: subtract the logsumexp over the whole vocabulary"


def _sums_to_one(values: np.ndarray, base: float) -> bool:
    with np.errstate(over="ignore"):
        return abs(float(np.power(base, values).sum()) - 1) < 1e-2


def cause_of_scores(
    subject: Subject, tokens: Sequence[int], begin: int, got: Sequence[float]
) -> str:
    """Why the scores of `tokens[begin:]` are not those that plain rows give."""
    own = list(tokens[begin:])
    if _near(subject, [-value for value in got], _read(subject, tokens, begin, 0)):
        return "the sign: scores are negative log-likelihoods"
    if len(got) == len(own) - 1 and _near(subject, got, _read(subject, tokens, begin + 1, 0)):
        return "the first token is not scored"
    if len(got) != len(own):
        return ""
    for shift, which in ((1, "next"), (-1, "previous")):
        if _near(subject, got, _read(subject, tokens, begin, shift)):
            return f"scores are those of the {which} position: {OFF_BY_ONE}"
    info = subject.model.info
    if info.bos is not None:
        with_bos = [info.bos, *tokens]
        if _near(subject, got, _read(subject, with_bos, begin + 1, 0)):
            return "BOS is put before the sequence once more"
        without = tokens[1:] if tokens[0] == info.bos and begin > 1 else None
        if without and _near(subject, got, _read(subject, without, begin - 1, 0)):
            return "BOS is left out"
    return ""


def _read(subject: Subject, tokens: Sequence[int], begin: int, shift: int) -> list[float] | None:
    """The scores of `tokens[begin:]`, read `shift` positions too late."""
    found = []
    for place in range(begin, len(tokens)):
        length = place + shift
        if not 0 < length <= len(tokens):
            # Nothing is there: it cannot have been read, and whatever was counts as right.
            found.append(np.nan)
            continue
        found.append(subject.logprob(tokens[:length], tokens[place]))
    return found if not all(map(np.isnan, found)) else None


def _near(subject: Subject, got: Sequence[float], read: Sequence[float] | None) -> bool:
    if read is None or len(got) != len(read):
        return False
    return all(
        bool(np.isnan(other)) or apart(one, other) <= subject.tolerance
        for one, other in zip(got, read, strict=True)
    )


def kind_of(value: Any) -> str:
    """What came in place of an array, for messages."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__
