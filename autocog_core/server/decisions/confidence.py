"""How certain an answer is, from 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence


def choice_confidence(probs: Sequence[float]) -> float:
    """Return (p_max - 1/n) / (1 - 1/n): 0 if all options are equally likely, 1 if one is certain.

    :param probs: the probability of each option.
    """
    count = len(probs)
    if count == 1:
        return 1.0
    return _limited((max(probs) - 1 / count) / (1 - 1 / count))


def score_confidence(probs: Sequence[float]) -> float:
    """Return 1 - spread / uniform spread: the spread is the mean distance from the likeliest level.

    The uniform spread is the mean distance of equally likely levels from their middle.

    :param probs: the probability of each level, in their order.
    """
    count = len(probs)
    if count == 1:
        return 1.0
    mode = max(range(count), key=probs.__getitem__)
    spread = sum(prob * abs(level - mode) for level, prob in enumerate(probs))
    uniform = sum(abs(level - (count - 1) / 2) for level in range(count)) / count
    return _limited(1 - spread / uniform)


def _limited(value: float) -> float:
    return min(1.0, max(0.0, value))
