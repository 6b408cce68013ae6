"""A slow and simple reference for the scores of choices; it uses only rows of the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Rows = Callable[[tuple[int, ...]], Sequence[float]]
INF = float("inf")


@dataclass
class ReferenceScore:
    """The scores of one choice, by the names of the norms."""

    logprob: float
    exclusive: float
    mean: float
    per_byte: float
    pmi: float | None
    prob: float = 0.0


def shared_base(
    fixed: Sequence[int], joint: Sequence[Sequence[int]]
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Split off the longest shared prefix, with at least one token left in each of `joint`."""
    length = 0
    while (
        length < len(fixed)
        and all(len(tokens) > length + 1 for tokens in joint)
        and all(tokens[length] == fixed[length] for tokens in joint)
    ):
        length += 1
    return tuple(fixed[:length]), [tuple(tokens[length:]) for tokens in joint]


def sum_logprobs(
    rows: Rows, base: tuple[int, ...], tokens: Sequence[int], eos: Sequence[int]
) -> float:
    logprob = 0.0
    for index, token in enumerate(tokens):
        logprob += float(rows(base + tuple(tokens[:index]))[token])
    if eos:
        row = rows(base + tuple(tokens))
        eos_prob = sum(math.exp(float(row[token])) for token in eos)
        logprob += math.log(eos_prob) if eos_prob > 0 else -INF
    return logprob


def score(
    rows: Rows,
    base: tuple[int, ...],
    decided: Sequence[tuple[int, ...]],
    sizes: Sequence[int],
    *,
    norm: str = "sum",
    eos: Sequence[int] = (),
    unconditional: tuple[int, ...] | None = None,
) -> list[ReferenceScore]:
    scores = []
    for tokens, size in zip(decided, sizes, strict=True):
        logprob = sum_logprobs(rows, base, tokens, eos)
        next_tokens = {
            other[len(tokens)]
            for other in decided
            if len(other) > len(tokens) and other[: len(tokens)] == tokens
        }
        exclusive = logprob
        if next_tokens and not eos:
            row = rows(base + tokens)
            remaining = 1.0 - sum(math.exp(float(row[token])) for token in next_tokens)
            exclusive += math.log(remaining) if remaining > 0 else -INF
        pmi = None
        if unconditional is not None:
            pmi = logprob - sum_logprobs(rows, unconditional, tokens, eos)
        count = len(tokens) + bool(eos)
        scores.append(
            ReferenceScore(
                logprob=logprob,
                exclusive=exclusive,
                mean=logprob / count,
                per_byte=logprob / max(size, 1),
                pmi=pmi,
            )
        )
    ranks = [score.exclusive if norm == "sum" else getattr(score, norm) for score in scores]
    top = max(ranks)
    weights = [1.0 if top == -INF else math.exp(rank - top) for rank in ranks]
    for reference, weight in zip(scores, weights, strict=True):
        reference.prob = weight / sum(weights)
    return scores
