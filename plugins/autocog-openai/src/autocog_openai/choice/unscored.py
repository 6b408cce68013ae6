"""Scores of choices that have no log-probabilities of their texts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autocog_core import ChoiceRequest, ChoiceScore, ChoiceScores
from autocog_core.toolkit import entropy


def unscored_choices(
    request: ChoiceRequest,
    probabilities: Sequence[float],
    index: int,
    *,
    method: str,
    reason: str,
    tokens_evaluated: int | None,
) -> ChoiceScores:
    """Return scores without tokens, so that autocog adds nothing to a path's log-probability.

    :param probabilities: the probability of each choice.
    :param index: the index of the best choice.
    :param method: "pick" or "decision".
    :param reason: why the scores are not exact.
    """
    scores = []
    for choice, probability in zip(request.choices, probabilities, strict=True):
        logprob = math.log(probability) if probability > 0 else -math.inf
        score = ChoiceScore(
            choice=choice,
            tokens=(),
            token_logprobs=(),
            logprob=logprob,
            exclusive_logprob=logprob,
            mean_logprob=logprob,
            logprob_per_byte=logprob,
            pmi=None,
            prob=probability,
        )
        scores.append(score)
    others = [probability for i, probability in enumerate(probabilities) if i != index]
    return ChoiceScores(
        index=index,
        scores=tuple(scores),
        norm=request.norm,
        boundary="token_ids",
        healed_text="",
        has_prefix_choices=False,
        entropy=entropy(np.array(probabilities)),
        margin=probabilities[index] - max(others, default=0.0),
        exact=False,
        method=method,
        reason=reason,
        tokens_evaluated=tokens_evaluated,
    )
