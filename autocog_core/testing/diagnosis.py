"""What is likely the matter with numbers that are wrong: known mistakes are tried on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autocog_core.testing.backend_under_test import BackendUnderTest, logprob_distance
from autocog_core.types.token_tree import TreeQuery

OFF_BY_ONE = "off by one"


def diagnose_row(row: np.ndarray) -> str:
    """Why an array is no distribution of log-probabilities."""
    values = np.asarray(row, dtype=np.float64)
    if np.isnan(values).any():
        return "an overflow, of float16 say: compute the softmax in float32"
    if not np.isfinite(values).any():
        return "every token is impossible: an overflow of float16? compute the softmax in float32"
    if (decimals := _rounded(values)) is not None:
        return f"rounded to {decimals} decimals: give log-probabilities as they were computed"
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


def _rounded(values: np.ndarray) -> int | None:
    """To how many decimals log-probabilities that nearly sum to 1 are rounded."""
    finite = values[np.isfinite(values)]
    if finite.max() > 0 or abs(float(np.exp(finite).sum()) - 1) > 0.1:
        return None
    # As exact as float32 has them.
    exact = 1e-6 * np.maximum(1, np.abs(finite))
    return next(
        (places for places in (1, 2, 3) if (np.abs(finite - finite.round(places)) < exact).all()),
        None,
    )


def _sums_to_one(values: np.ndarray, base: float) -> bool:
    with np.errstate(over="ignore"):
        return abs(float(np.power(base, values).sum()) - 1) < 1e-2


def diagnose_scores(
    subject: BackendUnderTest, tokens: Sequence[int], begin: int, got: Sequence[float]
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


def diagnose_tree(
    subject: BackendUnderTest,
    query: TreeQuery,
    paths: Mapping[int, Sequence[int]],
    expected: Sequence[float],
    got: Sequence[float],
) -> str:
    """Why the scores of a tree's nodes are not those that plain rows give.

    :param paths: the tokens up to each node, with it; those of -1 are the prefix.
    """
    tokens, parents = query.tokens.tolist(), query.parents.tolist()
    nodes = range(len(tokens))
    wrong = [
        node for node in nodes if logprob_distance(expected[node], got[node]) > subject.tolerance
    ]

    def after(sequence: Sequence[int], node: int) -> float:
        return subject.logprob(sequence, tokens[node]) if sequence else np.nan

    for cause, read in (
        (
            f"scores are those of the next position: {OFF_BY_ONE}",
            [after(paths[node], node) for node in nodes],
        ),
        (
            f"scores are those of the previous position: {OFF_BY_ONE}",
            [after(paths[parents[node]][:-1], node) for node in nodes],
        ),
        (
            "every node is scored as if it came right after the prefix: `parents` are ignored",
            [after(query.prefix, node) for node in nodes],
        ),
    ):
        # One number may be right by chance: the mistake is to explain them all.
        if _near(subject, got, read):
            return cause
    same_token = [[n for n in nodes if tokens[n] == token] for token in tokens]
    values = [[expected[other] for other in same_token[node]] for node in nodes]
    rows = [
        [after(paths[other], node) for other in (same_token[parent] if parent >= 0 else ())]
        for node, parent in enumerate(parents)
    ]
    for others in (values, rows):
        if len(wrong) > 1 and all(_among(subject, got[node], others[node]) for node in wrong):
            return (
                "rows are kept by token id rather than by node: the same token stands at several "
                "nodes, each with a path of its own"
            )
    return "a node sees tokens that are not on its path: its siblings?"


def _read(
    subject: BackendUnderTest, tokens: Sequence[int], begin: int, shift: int
) -> list[float] | None:
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


def _among(subject: BackendUnderTest, got: float, values: Sequence[float]) -> bool:
    return any(logprob_distance(got, value) <= subject.tolerance for value in values)


def _near(subject: BackendUnderTest, got: Sequence[float], read: Sequence[float] | None) -> bool:
    if read is None or len(got) != len(read):
        return False
    return all(
        bool(np.isnan(other)) or logprob_distance(one, other) <= subject.tolerance
        for one, other in zip(got, read, strict=True)
    )


def describe_type(value: Any) -> str:
    """What came in place of an array, for messages."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__
