"""Checks of what hooks return, against their specifications: one function for each hook.

They take microseconds: no loop over a vocabulary, and none over tokens that NumPy or the
interpreter can do. Whether numbers are the model's own is for the laws (`autocog_core.testing`).
`hooks/result_checks.py` has the checks of completions, choices and thought trees.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import ContractError, NumericsError
from autocog_core.types.backend_info import BackendInfo, SpecialToken, Usage
from autocog_core.types.prompt import Prompt, TextPiece, TokenPiece
from autocog_core.types.token_tree import TreeQuery, TreeScores

#: Rounding may cause log-probabilities up to this value; a higher one is an error of the engine.
LOGPROB_TOLERANCE = 1e-3
#: How far the logarithm of a row's sum may be from 0, in nats: rows may come from 16-bit numbers.
ROW_SUM_TOLERANCE = 1e-2


def check_describe(info: Any, hooks: Collection[str]) -> None:
    """Check a backend's description.

    :param hooks: the names of all hooks.
    """
    require_type(info, BackendInfo)
    require(isinstance(info.name, str), f"the name is {info.name!r}, not a str: use str(...)")
    require(info.name, "the name is empty")
    size = info.vocabulary_size
    require(is_count(size, 1), f"vocabulary_size is {size!r}, not a whole number above 0")
    length = info.context_length
    due = "not a whole number above 0, or None"
    require(length is None or is_count(length, 1), f"context_length is {length!r}, {due}")
    for name in ("max_concurrency", "nodes_per_step"):
        value = getattr(info, name)
        require(is_count(value, 1), f"{name} is {value!r}, not a whole number above 0")
    require(isinstance(info.isolates, bool), f"isolates is {info.isolates!r}, not a bool")
    tolerance = info.tolerance
    is_number = isinstance(tolerance, float | int) and 0 <= tolerance < math.inf
    require(is_number, f"tolerance is {tolerance!r}, not a number of nats")
    # Not that they are in the vocabulary: a server may have a larger one than its tokenizer here.
    is_tuple = isinstance(info.eos, tuple) and all(is_count(token, 0) for token in info.eos)
    require(is_tuple, f"eos is {info.eos!r}, not a tuple of ids")
    require(info.bos is None or is_count(info.bos, 0), f"bos is {info.bos!r}, not an id, or None")
    require(info.bos is not None or not info.adds_bos, "adds_bos is set, but bos is None")
    for token in info.special_tokens:
        require_type(token, SpecialToken, "special_tokens has")
        require(isinstance(token.text, str) and is_count(token.id, 0), f"bad special {token!r}")
    unknown = set(info.capabilities or ()) - set(hooks)
    require(not unknown, f"capabilities has {sorted(unknown)}, which are no hooks")


def check_tokenize(answer: Any, count: int, size: int) -> None:
    """Check the ids of `count` texts, for a vocabulary of `size` tokens."""
    require_type(answer, list)
    require(len(answer) == count, f"{len(answer)} answers for {count} texts")
    kinds = set(map(type, answer))
    require(kinds <= {list}, f"expected a list of ids for each text, got {_names(kinds)}")
    # The set of different ids is small, and is made faster than anything with each single id.
    check_ids(set().union(*answer), size, "the ids")


def check_ids(ids: Collection[Any], size: int, what: str) -> None:
    """Check that all ids are whole numbers in the vocabulary."""
    if not ids:
        return
    kinds = set(map(type, ids))
    require(kinds == {int}, f"{what}: expected whole numbers, got {_names(kinds)}")
    lowest, highest = min(ids), max(ids)
    if lowest < 0 or highest >= size:
        outside = lowest if lowest < 0 else highest
        raise ContractError(f"{what}: {outside} is outside the vocabulary 0..{size - 1}")


def check_detokenize(answer: Any) -> None:
    """Check the bytes of tokens."""
    require_type(answer, bytes)


def check_vocabulary(answer: Any, size: int) -> None:
    """Check the bytes of every token, for a vocabulary of `size` tokens."""
    is_sequence = isinstance(answer, Sequence) and not isinstance(answer, str | bytes)
    require(is_sequence, f"expected a sequence of bytes, got {type(answer).__name__}")
    require(len(answer) == size, f"{len(answer)} entries for a vocabulary of {size}")
    kinds = set(map(type, answer))
    require(kinds <= {bytes}, f"expected bytes for each id, got {_names(kinds)}")


def check_row(row: Any, size: int, length: int, *, with_sum: bool = False) -> None:
    """Check the log-probability of every token of a vocabulary of `size` tokens.

    :param length: the number of tokens before it, for messages.
    :param with_sum: whether to check that the probabilities sum to 1. This takes longer than all
        else, so core asks for it in the first rows of each model, and in some of the later ones:
        an engine that returns something other than a log-softmax mostly does so from the first
        row on. In the others, only the highest value is checked.
    """
    require_floats(row, (size,))
    highest = float(row.max())
    # The likeliest of V tokens has at least the probability 1/V. With a NaN, the maximum is NaN,
    # and each comparison is false.
    if -math.log(size) - LOGPROB_TOLERANCE <= highest <= LOGPROB_TOLERANCE:
        if with_sum:
            _check_row_sum(row)
        return
    require_logprobs(row, "token", length)
    if highest == -math.inf:
        raise NumericsError(
            f"returned -inf for each of {size} tokens after {length} tokens, which cannot sum to 1",
            hint="no token is possible: a mask may exclude all, or the dtype is too narrow",
        )
    if highest < 0:
        raise NumericsError(
            f"returned a row whose probabilities do not sum to 1: the highest of {size} "
            f"log-probabilities is {highest:.4g}",
            hint="return the log-softmax of the logits",
        )


def _check_row_sum(row: NDArray[Any]) -> None:
    total = float(np.exp(row, dtype=np.float64).sum())
    if abs(math.log(total)) > ROW_SUM_TOLERANCE:
        raise NumericsError(
            f"returned a row whose probabilities sum to {total:.4g}, not 1",
            hint="return the log-softmax of the logits",
        )


def check_trees(answers: Any, queries: Sequence[TreeQuery], info: BackendInfo) -> None:
    """Check the scores of token trees: one answer for each query."""
    require_type(answers, list | tuple)
    require(len(answers) == len(queries), f"{len(answers)} answers for {len(queries)} queries")
    for query, scores in zip(queries, answers, strict=True):
        require_type(scores, TreeScores)
        require_floats(scores.values, query.tokens.shape, "values")
        if scores.values.size:
            require_logprobs(scores.values, "node", len(query.prefix))
            _check_siblings(query, scores.values, info.tolerance)
        if query.top_at.size or scores.top_tokens.size or scores.top_logprobs.size:
            _check_top(query, scores, info)
        if query.with_mask_logprobs and scores.mask_logprobs is not None:
            _check_mask_logprobs(query, scores, info.tolerance)
        require(is_count(scores.tokens_evaluated, 0), "tokens_evaluated is not a whole number")


def _check_siblings(query: TreeQuery, values: NDArray[Any], tolerance: float) -> None:
    """Tokens after one node exclude each other: their probabilities sum to at most 1.

    Of values that an engine forgot and left at 0, this finds only those with siblings: alone after
    its node, a token may have the probability 1. `TreeScoreCollector` finds each row that was not
    added to it. Any other is for the law `tree_scores_match`, which compares with separate calls.
    """
    sums = np.bincount(query.parents + 1, weights=np.exp(values))
    limit = math.exp(tolerance) + LOGPROB_TOLERANCE
    if sums.max() <= limit:
        return
    # A query may name a token twice.
    nodes = {
        pair: node
        for node, pair in enumerate(zip(query.parents.tolist(), query.tokens.tolist(), strict=True))
    }
    different = np.fromiter(nodes.values(), dtype=np.int64)
    sums = np.bincount(query.parents[different] + 1, weights=np.exp(values[different]))
    if sums.max() > limit:
        parent = int(sums.argmax()) - 1
        place = "the prefix" if parent < 0 else f"node {parent}"
        raise NumericsError(
            f"returned probabilities of different tokens after {place} that sum to "
            f"{sums.max():.4g}, above 1"
        )


def _check_top(query: TreeQuery, scores: TreeScores, info: BackendInfo) -> None:
    shape = (len(query.top_at), query.top_k)
    tokens, logprobs = scores.top_tokens, scores.top_logprobs
    require_floats(logprobs, shape, "top_logprobs")
    is_array = isinstance(tokens, np.ndarray) and tokens.dtype.kind == "i"
    require(is_array and tokens.shape == shape, f"expected top_tokens of whole numbers {shape}")
    if not tokens.size:
        return
    require_logprobs(logprobs, "the top tokens of row", len(query.prefix))
    size = info.vocabulary_size
    lowest, highest = int(tokens.min()), int(tokens.max())
    if lowest < -1 or highest >= size:
        outside = lowest if lowest < -1 else highest
        raise ContractError(f"top_tokens: {outside} is outside the vocabulary 0..{size - 1}")
    is_possible = logprobs > -np.inf
    require(bool((tokens[is_possible] >= 0).all()), "top_tokens has no token where a value is")
    unordered = bool((logprobs[:, 1:] > logprobs[:, :-1]).any())
    require(not unordered, "top_logprobs are not ordered, likeliest first")
    in_order = np.sort(tokens, axis=1)
    is_double = (in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] >= 0)
    require(not is_double.any(), "top_tokens has a token twice")
    if query.mask is not None:
        allowed = query.mask[tokens[is_possible]]
        require(bool(allowed.all()), "top_tokens has a token that the mask excludes")


def _check_mask_logprobs(query: TreeQuery, scores: TreeScores, tolerance: float) -> None:
    masses = scores.mask_logprobs
    require_floats(masses, (len(query.top_at),), "mask_logprobs")
    assert masses is not None
    if not masses.size:
        return
    require_logprobs(masses, "the mask of row", len(query.prefix))
    listed = np.exp(scores.top_logprobs).sum(axis=1)
    if bool((np.exp(masses) < listed * math.exp(-tolerance) - LOGPROB_TOLERANCE).any()):
        raise NumericsError("returned a probability of a mask below that of tokens in it")


def check_chat_prompt(prompt: Any) -> None:
    """Check the prompt of a chat template."""
    require_type(prompt, Prompt)
    require(isinstance(prompt.pieces, tuple), "pieces is not a tuple")
    for piece in prompt.pieces:
        require_type(piece, TextPiece | TokenPiece, "pieces has")
        if isinstance(piece, TextPiece):
            require_type(piece.text, str, "a piece has")


def check_usage(usage: Any) -> None:
    """Check the counts of requests and tokens."""
    require_type(usage, Usage)
    for entry in fields(Usage):
        value = getattr(usage, entry.name)
        require(is_count(value, 0), f"{entry.name} is {value!r}, not a whole number")


def require(holds: Any, message: str) -> None:
    """Raise ContractError with `message` unless `holds`."""
    if not holds:
        raise ContractError(message)


def require_type(value: Any, kind: Any, what: str = "expected") -> None:
    """Raise ContractError unless the value is of a type."""
    if not isinstance(value, kind):
        due = getattr(kind, "__name__", None) or str(kind)
        got = "None" if value is None else type(value).__name__
        raise ContractError(f"{what} {due}, got {got}" if what == "expected" else f"{what} {got}")


def require_floats(values: Any, shape: tuple[int, ...], what: str = "an array") -> None:
    """Raise ContractError unless the value is an array of floating numbers of this shape."""
    if not isinstance(values, np.ndarray) or values.shape != shape:
        got = getattr(values, "shape", type(values).__name__)
        raise ContractError(f"expected {what} {shape}, got {got}")
    if values.dtype.kind != "f":
        raise ContractError(f"expected {what} of floating numbers, got {values.dtype}")


def require_logprobs(
    values: NDArray[Any], place: str = "number", length: int | None = None
) -> float:
    """Return the highest of one or more log-probabilities.

    :param place: what the first index of `values` counts, for messages.
    :param length: the number of tokens before the values, for messages.
    :raises NumericsError: for NaN, and for a value above 0.
    """
    # One pass: with a NaN, the maximum is NaN, and the comparison is false.
    highest = float(values.max())
    if not highest <= LOGPROB_TOLERANCE:
        is_wrong = np.isnan(values) if math.isnan(highest) else values > LOGPROB_TOLERANCE
        value = "NaN" if math.isnan(highest) else f"{highest:.4g}, above 0,"
        where = f"{is_wrong.sum()} of {values.size}, first for {place} {is_wrong.nonzero()[0][0]}"
        raise NumericsError(
            f"returned {value} where log-probabilities are due: {where}"
            + ("" if length is None else f", after {length} tokens"),
            hint="the weights may be damaged, or the dtype too narrow for this model",
        )
    return highest


def is_count(value: Any, lowest: int) -> bool:
    """Return whether a value is a whole number, at least `lowest`."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_whole and bool(value >= lowest)


def _names(kinds: set[type]) -> str:
    return " and ".join(sorted(kind.__name__ for kind in kinds))
