"""Checks of the best choices that a backend's `choose` returns."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from autocog_core.errors import NumericsError
from autocog_core.hooks.answer_checks import (
    LOGPROB_TOLERANCE,
    is_count,
    require,
    require_logprobs,
    require_type,
)
from autocog_core.hooks.result_checks import (
    SUM_TOLERANCE,
    check_given_arguments,
    check_token_logprobs,
    require_close,
)
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.choice import SCORE_FIELD_OF_NORM, ChoiceRequest
from autocog_core.types.top_choices import TopChoice, TopChoices


def check_top_choices(answer: Any, request: ChoiceRequest, info: BackendInfo) -> None:
    """Check the best choices: as many as requested, in order, and none beaten if that is proven.

    What needs the tokenizer is in `hooks/choice_token_checks.py`.
    """
    require_type(answer, TopChoices)
    wanted, given = request.top, len(request.choices)
    assert wanted is not None
    require(isinstance(answer.top, tuple), "top is not a tuple")
    count = min(wanted.top, given)
    require(len(answer.top) == count, f"{len(answer.top)} best choices in place of {count}")
    for choice in answer.top:
        _check_choice(choice, request, info)
    indices = [choice.index for choice in answer.top]
    require(len(set(indices)) == count, f"the best choices are not different: {indices}")
    check_given_arguments(answer, request)
    for name in ("exact", "proven"):
        require(isinstance(getattr(answer, name), bool), f"{name} is {getattr(answer, name)!r}")
    for name in ("nodes_read", "nodes", "tokens_evaluated"):
        value = getattr(answer, name)
        require(value is None or is_count(value, 0), f"{name} is {value!r}")
    require(is_count(answer.steps, 0), f"steps is {answer.steps!r}")
    settled = answer.is_at_least
    require(settled is None or isinstance(settled, bool), f"is_at_least is {settled!r}")
    require(
        settled is None or wanted.at_least is not None, "is_at_least, though that was not asked"
    )
    _check_order(answer, given)
    if answer.exact:
        _check_exact(answer)


def _check_choice(choice: Any, request: ChoiceRequest, info: BackendInfo) -> None:
    require_type(choice, TopChoice)
    index = choice.index
    require(is_count(index, 0) and index < len(request.choices), f"index is {index!r}")
    text = request.choices[index]
    require(choice.choice == text, f"a score of {choice.choice!r} in place of {text!r}")
    check_token_logprobs(
        choice.tokens, choice.token_logprobs, info.vocabulary_size, may_lack_tokens=True
    )
    numbers = [choice.logprob, choice.exclusive_logprob, choice.mean_logprob]
    require_logprobs(np.array([*numbers, choice.logprob_per_byte], dtype=np.float64))
    ranking = getattr(choice, SCORE_FIELD_OF_NORM[request.norm])
    require(choice.score == ranking, f"score is {choice.score!r}, but the norm's is {ranking!r}")
    lowest, highest = choice.prob_bounds
    are_bounds = 0 <= lowest <= highest <= 1 + SUM_TOLERANCE
    require(are_bounds, f"prob_bounds is {choice.prob_bounds!r}")
    prob = choice.prob
    is_between = prob is None or lowest - SUM_TOLERANCE <= prob <= highest + SUM_TOLERANCE
    require(is_between, f"prob is {prob!r}, outside of its prob_bounds {choice.prob_bounds!r}")


def _check_order(answer: TopChoices, count: int) -> None:
    """Check that the best choices are in order, and that no other one beats them if proven."""
    for choice, after in pairwise(answer.top):
        is_sorted = (-choice.score, choice.index) < (-after.score, after.index)
        require(is_sorted, "the best choices are not in the order of their scores")
    bounds = answer.score_bounds
    require(isinstance(bounds, tuple), "score_bounds is not a tuple")
    require(len(bounds) == count, f"{len(bounds)} score_bounds for {count} choices")
    highest = np.array(bounds, dtype=np.float64)
    if np.isnan(highest).any():
        raise NumericsError("returned NaN in score_bounds")
    for choice in answer.top:
        is_bound = choice.score <= highest[choice.index] + LOGPROB_TOLERANCE
        require(is_bound, f"the score of {choice.choice!r} is above its bound in score_bounds")
    if not answer.proven:
        return
    last = answer.top[-1]
    others = np.ones(len(highest), dtype=np.bool_)
    others[[choice.index for choice in answer.top]] = False
    is_beaten = highest[others].max(initial=-np.inf) > last.score
    require(not is_beaten, "proven, but the bound of another choice is higher")


def _check_exact(answer: TopChoices) -> None:
    """Check that exact scores have tokens, and that their numbers follow from these."""
    for choice in answer.top:
        require(choice.tokens, f"exact scores, but no tokens of {choice.choice!r}")
        counts = len(choice.token_logprobs), len(choice.tokens)
        require(counts[0] == counts[1], f"{counts[0]} log-probabilities for {counts[1]} tokens")
    logprob = np.array([choice.logprob for choice in answer.top])
    sums = np.array([sum(choice.token_logprobs) for choice in answer.top])
    lengths = np.array([len(choice.tokens) for choice in answer.top])
    require_close(logprob, sums, "logprob is not the sum of token_logprobs")
    means = np.array([choice.mean_logprob for choice in answer.top])
    require_close(means, sums / lengths, "mean_logprob is not per token")
    exclusive = np.array([choice.exclusive_logprob for choice in answer.top])
    is_above = (exclusive > logprob + LOGPROB_TOLERANCE).any()
    require(not is_above, "exclusive_logprob is above logprob")
