"""The slow and obvious way to score choices, with nothing of autocog's in it but a row a call."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Rows = Callable[[tuple[int, ...]], Sequence[float]]
INF = float("inf")


@dataclass
class Twin:
    logprob: float
    exclusive: float
    mean: float
    per_byte: float
    pmi: float | None
    prob: float = 0.0


def shared_base(
    fixed: Sequence[int], joint: Sequence[Sequence[int]]
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """The longest beginning that `fixed` and all of `joint` share, leaving each a token."""
    length = 0
    while (
        length < len(fixed)
        and all(len(tokens) > length + 1 for tokens in joint)
        and all(tokens[length] == fixed[length] for tokens in joint)
    ):
        length += 1
    return tuple(fixed[:length]), [tuple(tokens[length:]) for tokens in joint]


def total(rows: Rows, base: tuple[int, ...], tokens: Sequence[int], eos: Sequence[int]) -> float:
    found = 0.0
    for i, token in enumerate(tokens):
        found += float(rows(base + tuple(tokens[:i]))[token])
    if eos:
        row = rows(base + tuple(tokens))
        ends = sum(math.exp(float(row[token])) for token in eos)
        found += math.log(ends) if ends > 0 else -INF
    return found


def score(
    rows: Rows,
    base: tuple[int, ...],
    decided: Sequence[tuple[int, ...]],
    sizes: Sequence[int],
    *,
    norm: str = "sum",
    eos: Sequence[int] = (),
    unconditional: tuple[int, ...] | None = None,
) -> list[Twin]:
    scores = []
    for tokens, size in zip(decided, sizes, strict=True):
        logprob = total(rows, base, tokens, eos)
        longer = {
            other[len(tokens)]
            for other in decided
            if len(other) > len(tokens) and other[: len(tokens)] == tokens
        }
        exclusive = logprob
        if longer and not eos:
            row = rows(base + tokens)
            left = 1.0 - sum(math.exp(float(row[token])) for token in longer)
            exclusive += math.log(left) if left > 0 else -INF
        pmi = None
        if unconditional is not None:
            pmi = logprob - total(rows, unconditional, tokens, eos)
        count = len(tokens) + bool(eos)
        scores.append(Twin(logprob, exclusive, logprob / count, logprob / max(size, 1), pmi))
    ranks = [score.exclusive if norm == "sum" else getattr(score, norm) for score in scores]
    top = max(ranks)
    shares = [1.0 if top == -INF else math.exp(rank - top) for rank in ranks]
    for twin, share in zip(scores, shares, strict=True):
        twin.prob = share / sum(shares)
    return scores
