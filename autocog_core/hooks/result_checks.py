"""Checks of completions and of scores of choices that hooks return."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import ContractError, NumericsError
from autocog_core.hooks.answer_checks import (
    LOGPROB_TOLERANCE,
    check_ids,
    is_count,
    require,
    require_logprobs,
    require_type,
)
from autocog_core.numerics import entropy
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.choice import (
    SCORE_FIELD_OF_NORM,
    Boundary,
    ChoiceRequest,
    ChoiceScore,
    ChoiceScores,
)
from autocog_core.types.completion import Completion, CompletionRequest, FinishReason
from autocog_core.types.top_choices import TopChoices

FINISH_REASONS = get_args(FinishReason)
BOUNDARIES = get_args(Boundary)
#: Probabilities are sums and quotients: they are off by more than single log-probabilities.
SUM_TOLERANCE = 1e-6


def check_completion(
    answer: Any, request: CompletionRequest, info: BackendInfo, *, needs_eos: bool = False
) -> None:
    """Check a completion and its alternatives.

    :param needs_eos: whether a text can end with EOS only if the backend declares which tokens
        these are, because core also writes texts token by token.
    """
    require_type(answer, Completion)
    alternatives = answer.alternatives
    require(isinstance(alternatives, tuple), "alternatives is not a tuple")
    count = 1 + len(alternatives)
    require(count == request.n, f"{count} completions for n={request.n}")
    for completion in (answer, *alternatives):
        require_type(completion, Completion)
        _check_one_completion(completion, request, info.vocabulary_size)
        if completion.finish_reason == "eos" and needs_eos and not info.eos:
            raise ContractError("finish_reason is 'eos', but info.eos declares no EOS")


def _check_one_completion(completion: Completion, request: CompletionRequest, size: int) -> None:
    require_type(completion.text, str)
    _check_text(completion.text, request)
    # Some servers return log-probabilities of texts, without ids.
    check_token_logprobs(completion.tokens, completion.logprobs, size, may_lack_tokens=True)
    masses = completion.allowed
    if masses is not None:
        require(request.constraint is not None, "allowed without a constraint")
        check_token_logprobs(completion.tokens, masses, size, may_lack_tokens=True)
    length = max(len(completion.tokens), len(completion.logprobs or ()))
    require(length <= request.max_tokens, f"{length} tokens for max_tokens={request.max_tokens}")
    reason = completion.finish_reason
    require(reason in FINISH_REASONS, f"finish_reason is {reason!r}")
    stop = completion.stop_string
    # A server may not say which of the stop strings it was.
    is_stop = reason == "stop"
    require(bool(request.stop) or not is_stop, "'stop', but the request has no stop string")
    require(stop is None or is_stop, f"{reason!r} with the stop string {stop!r}")
    require(stop is None or stop in request.stop, f"no stop string of the request is {stop!r}")
    evaluated = completion.tokens_evaluated
    require(evaluated is None or is_count(evaluated, 0), f"tokens_evaluated is {evaluated!r}")


def _check_text(text: str, request: CompletionRequest) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ContractError("the text has half of a surrogate pair, which is no character") from (
            error
        )
    if request.constraint is not None:
        # A stop string may be part of a text in the language.
        return
    # The text ends before the first of them. U+FFFD may also stand for bytes that are no text.
    for stop in request.stop:
        is_ignored = stop in text and "\ufffd" not in stop
        require(not is_ignored, f"the text goes on after the stop string {stop!r}")


def check_token_logprobs(
    tokens: Any, logprobs: Any, size: int, *, may_lack_tokens: bool = False
) -> None:
    """Check token ids and, unless they are None, their log-probabilities.

    :param may_lack_tokens: whether there may be log-probabilities without ids.
    """
    require(isinstance(tokens, tuple), f"tokens is {type(tokens).__name__}, not a tuple")
    check_ids(tokens, size, "tokens")
    if logprobs is None:
        return
    require(isinstance(logprobs, tuple), f"logprobs is {type(logprobs).__name__}, not a tuple")
    if len(tokens) != len(logprobs) and (tokens or not may_lack_tokens):
        raise ContractError(f"{len(logprobs)} log-probabilities for {len(tokens)} tokens")
    if logprobs:
        require_logprobs(np.array(logprobs, dtype=np.float64))


def check_scores(answer: Any, request: ChoiceRequest, info: BackendInfo) -> None:
    """Check the scores of choices: complete, of the right norm, and in agreement with each other.

    What needs the tokenizer is in `hooks/choice_token_checks.py`.
    """
    require_type(answer, ChoiceScores)
    scores = answer.scores
    require(isinstance(scores, tuple), "scores is not a tuple")
    given = len(request.choices)
    require(len(scores) == given, f"{len(scores)} scores for {given} choices")
    for score, choice in zip(scores, request.choices, strict=True):
        require_type(score, ChoiceScore)
        require(score.choice == choice, f"a score of {score.choice!r} in place of {choice!r}")
    check_given_arguments(answer, request)
    require(is_count(answer.index, 0) and answer.index < given, f"index is {answer.index!r}")
    require(isinstance(answer.exact, bool), f"exact is {answer.exact!r}")
    evaluated = answer.tokens_evaluated
    require(evaluated is None or is_count(evaluated, 0), f"tokens_evaluated is {evaluated!r}")
    unseen, margin = answer.unseen_probability, answer.margin
    require(0 <= unseen <= 1 + SUM_TOLERANCE, f"unseen_probability is {unseen!r}")
    require(-SUM_TOLERANCE <= margin <= 1 + SUM_TOLERANCE, f"margin is {margin!r}")
    require(answer.entropy >= 0, f"entropy is {answer.entropy!r}")
    _check_probs(answer)
    _check_logprobs(answer, info)
    if answer.exact:
        _check_exact(answer, info)


def check_count(answers: Any, count: int) -> None:
    """Check that there is one answer for each request.

    :param count: the number of requests.
    """
    require_type(answers, list)
    require(len(answers) == count, f"{len(answers)} answers for {count} requests")


def check_given_arguments(answer: ChoiceScores | TopChoices, request: ChoiceRequest) -> None:
    """Check that the norm and the boundary of a request were not ignored."""
    if answer.norm != request.norm:
        raise ContractError(f"scores by the norm {answer.norm!r}, not {request.norm!r}")
    require(answer.boundary in BOUNDARIES, f"boundary is {answer.boundary!r}")
    is_healed = request.boundary == "strict" and answer.boundary == "healed"
    require(not is_healed, 'the prompt was healed in spite of boundary="strict"')


def _check_probs(answer: ChoiceScores) -> None:
    """Check that `prob` is a distribution, and that no choice beats the chosen one."""
    probs = _column(answer, "prob")
    lowest, total = float(probs.min()), float(probs.sum())
    if not (lowest >= 0 and abs(total - 1) <= SUM_TOLERANCE * len(probs)):
        raise NumericsError(f"returned probabilities of choices that sum to {total:.6g}, not 1")
    best = float(probs.max())
    if probs[answer.index] < best - SUM_TOLERANCE:
        raise NumericsError(f"returned choice {answer.index}, but another one is likelier")


def _check_logprobs(answer: ChoiceScores, info: BackendInfo) -> None:
    """Check that what looks like tokens and log-probabilities can be: also lower bounds are."""
    for score in answer.scores:
        check_token_logprobs(
            score.tokens, score.token_logprobs, info.vocabulary_size, may_lack_tokens=True
        )
        pmi = score.pmi
        require(pmi is None or not np.isnan(pmi), "pmi is NaN")
        require(pmi is None or answer.norm == "pmi", f"pmi with the norm {answer.norm!r}")
    numbers = [
        (score.logprob, score.exclusive_logprob, score.mean_logprob, score.logprob_per_byte)
        for score in answer.scores
    ]
    require_logprobs(np.array(numbers, dtype=np.float64))


def _check_exact(answer: ChoiceScores, info: BackendInfo) -> None:
    """Check that exact scores have tokens, and that their numbers follow from these."""
    unseen = answer.unseen_probability
    require(unseen == 0, f"exact scores, but unseen_probability is {unseen!r}")
    for score in answer.scores:
        require(score.tokens, f"exact scores, but no tokens of {score.choice!r}")
        require(score.token_logprobs is not None, "exact scores without token_logprobs")
        counts = len(score.token_logprobs), len(score.tokens)
        require(counts[0] == counts[1], f"{counts[0]} log-probabilities for {counts[1]} tokens")
    logprob = _column(answer, "logprob")
    sums = np.array([sum(score.token_logprobs) for score in answer.scores])
    lengths = np.array([len(score.tokens) for score in answer.scores])
    require_close(logprob, sums, "logprob is not the sum of token_logprobs")
    require_close(_column(answer, "mean_logprob"), sums / lengths, "mean_logprob is not per token")
    # Both may be -inf, or rounded.
    is_above = _column(answer, "exclusive_logprob") > logprob + LOGPROB_TOLERANCE
    require(not is_above.any(), "exclusive_logprob is above logprob")
    ranking = _column(answer, SCORE_FIELD_OF_NORM[answer.norm])
    if answer.norm == "pmi":
        # What is subtracted is a log-probability too.
        is_below = ranking < logprob - LOGPROB_TOLERANCE
        require(not is_below.any(), "pmi is below logprob: it subtracts a positive number")
    if np.isnan(ranking).any():
        raise NumericsError("returned NaN where a score is due")
    if ranking[answer.index] < ranking.max() - SUM_TOLERANCE:
        raise NumericsError(f"returned choice {answer.index}, but another one has a better score")
    probs = _column(answer, "prob")
    top = ranking.max()
    if np.isfinite(top):
        weights = np.exp(ranking - top)
        if np.abs(weights / weights.sum() - probs).max() > SUM_TOLERANCE:
            raise NumericsError(f"returned `prob` that does not follow from norm {answer.norm!r}")
    in_order = np.sort(probs)
    margin = float(in_order[-1] - in_order[-2]) if probs.size > 1 else 1.0
    limit = SUM_TOLERANCE * len(probs) + info.tolerance
    for name, due in (("margin", margin), ("entropy", entropy(probs))):
        got = getattr(answer, name)
        if not abs(got - due) <= limit:
            raise NumericsError(f"returned {name} {got:.6g}, but `prob` has {due:.6g}")


def _column(answer: ChoiceScores, name: str) -> NDArray[np.float64]:
    return np.array([getattr(score, name) for score in answer.scores], dtype=np.float64)


def require_close(got: NDArray[Any], due: NDArray[Any], message: str) -> None:
    """Raise NumericsError unless the numbers agree, up to rounding."""
    # -inf equals -inf; a NaN equals nothing.
    with np.errstate(invalid="ignore"):
        is_close = (got == due) | (np.abs(got - due) <= LOGPROB_TOLERANCE * (1 + np.abs(due)))
    if not is_close.all():
        index = int(np.argmin(is_close))
        raise NumericsError(f"returned {got[index]:.6g} for {due[index]:.6g}: {message}")
