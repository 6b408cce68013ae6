"""Shares of sampled texts: by their number, or by their importance weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocog_core.evaluation.hypothesis import Hypothesis
from autocog_core.types.path_weights import importance_shares


def sample_shares(
    samples: Sequence[Hypothesis], *, weighted: bool
) -> tuple[list[float], dict[str, float]]:
    """Return the share of each sample, and the standard error of the share of each text.

    A sample of a constrained text is drawn with the probability q = exp(sum of logprob - allowed):
    renormalized token by token. Its probability given the whole constraint is proportional to
    p = exp(sum of logprob). So its importance weight is p / q = exp(sum of allowed). A sample that
    `length` cut has no probability there: it weighs 0. The shares are self-normalized, and the
    errors are those of a self-normalized estimate (Owen, Monte Carlo theory, methods and examples,
    2013, chapter 9.2): sqrt(sum of share^2 (is this text - probability of this text)^2).

    :param samples: the samples.
    :param weighted: whether they are weighted; else each has the same share.
    """
    count = len(samples)
    if not weighted:
        return [1 / count] * count, {}
    shares = np.array(importance_shares(samples))
    texts = [sample.text for sample in samples]
    errors = {}
    for text in set(texts):
        is_text = np.array([other == text for other in texts], dtype=np.float64)
        probability = float((shares * is_text).sum())
        errors[text] = float(np.sqrt((shares**2 * (is_text - probability) ** 2).sum()))
    return shares.tolist(), errors
