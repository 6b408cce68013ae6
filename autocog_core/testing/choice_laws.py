"""Laws of the hook `choose` that need no other hook: they also check backends that only choose."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from autocog_core.errors import CapabilityError, InputError
from autocog_core.numerics import softmax
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import (
    logprob_distance,
    require_equal,
    round_values,
)
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.types.choice import SCORE_FIELD_OF_NORM, ChoiceScore, ChoiceScores, Norm

#: The norms that need no second prompt.
CHECKED_NORMS: tuple[Norm, ...] = ("sum", "mean", "per_byte")
#: Rounding may change a probability by this much.
ROUNDING = 1e-6


@law("choices")
def choice_answers_are_complete(subject: BackendUnderTest) -> None:
    """Each choice has one valid score, and exact scores have tokens."""
    for prompt in subject.prompts:
        result = subject.raw.choose(prompt, subject.choices)
        require_equal(
            list(subject.choices),
            [score.choice for score in result.scores],
            "choices are missing or in another order",
            given=prompt,
            cause=_diagnose_order(result, subject.choices),
        )
        if not 0 <= result.index < len(result.scores):
            raise LawViolation("index names no choice", given=prompt, got=result.index)
        for score in result.scores:
            _check_score(subject, prompt, score, is_exact=result.exact)
        _check_summary(prompt, result)


def _diagnose_order(result: ChoiceScores, choices: Sequence[str]) -> str:
    if sorted(score.choice for score in result.scores) != sorted(choices):
        return ""
    logprobs = [score.logprob for score in result.scores]
    is_sorted = logprobs == sorted(logprobs, reverse=True)
    return "they are sorted by their scores" if is_sorted else ""


def _check_score(
    subject: BackendUnderTest, prompt: str, score: ChoiceScore, *, is_exact: bool
) -> None:
    """Check the numbers of one choice."""
    given = (prompt, score.choice)
    if not 0 <= score.prob <= 1 + ROUNDING:
        raise LawViolation(
            "a probability is not between 0 and 1",
            given=given,
            got=score.prob,
            cause="prob is the share of a choice among the choices: divide by their sum",
        )
    for name in ("logprob", "exclusive_logprob", "mean_logprob", "logprob_per_byte"):
        if math.isnan(value := getattr(score, name)) or value > subject.tolerance:
            raise LawViolation(f"{name} is NaN or above 0", given=given, got=value)
    size = subject.model.info.vocabulary_size
    if outside := [token for token in score.tokens if not 0 <= token < size]:
        raise LawViolation(
            "a choice has token ids outside the vocabulary",
            given=given,
            expected=f"0..{size - 1}",
            got=outside,
            cause="ids of another tokenizer, or a wrong info.vocabulary_size",
        )
    if len(score.tokens) != len(score.token_logprobs):
        raise LawViolation(
            "the tokens of a choice have no log-probability, or too many",
            given=given,
            expected=len(score.tokens),
            got=len(score.token_logprobs),
            cause="token_logprobs has one number for each of `tokens`",
        )
    if not is_exact:
        return
    if not score.tokens:
        raise LawViolation(
            "the scores are called exact, but a choice has no tokens",
            given=given,
            cause="exact means the model's own log-probabilities of tokens: return them, or set "
            "exact=False with a reason",
        )
    total = sum(score.token_logprobs)
    if not subject.is_tolerable(logprob_distance(score.logprob, total), len(score.tokens)):
        raise LawViolation(
            "the logprob of a choice is not the sum of its token_logprobs",
            given=given,
            expected=total,
            got=score.logprob,
            cause="it is the mean: core computes the norms"
            if logprob_distance(score.logprob, total / len(score.tokens)) < ROUNDING
            else "",
        )


def _check_summary(prompt: str, result: ChoiceScores) -> None:
    """Check the numbers that sum up the probabilities."""
    if not result.exact and not result.reason:
        raise LawViolation("the scores are not exact, and no reason says why", given=prompt)
    probs = sorted((score.prob for score in result.scores), reverse=True)
    entropy = -sum(prob * math.log(prob) for prob in probs if prob > 0)
    margin = result.scores[result.index].prob - probs[1] if len(probs) > 1 else 1.0
    for name, expected in (("entropy", entropy), ("margin", margin)):
        got = getattr(result, name)
        # Not `>`: NaN must not pass.
        if not abs(expected - got) <= 1e-3:
            raise LawViolation(
                f"{name} does not follow from the probabilities",
                given=prompt,
                expected=expected,
                got=got,
            )


@law("choices")
def choices_in_any_order(subject: BackendUnderTest) -> None:
    """A choice has the same score wherever it stands among the choices."""
    choices = subject.choices
    orders = (choices[::-1], (*choices[1:], choices[0]))
    for prompt in subject.prompts[:2]:
        result = subject.raw.choose(prompt, choices)
        for order in orders:
            permuted = subject.raw.choose(prompt, order)
            expected = [result.scores[choices.index(choice)] for choice in order]
            if _are_by_position(result, permuted, expected):
                raise _order_counts(prompt, order, expected, permuted)
            if result.exact and not subject.agree_on_choices(expected, permuted.scores):
                raise _order_counts(prompt, order, expected, permuted)


def _are_by_position(
    result: ChoiceScores, permuted: ChoiceScores, expected: Sequence[ChoiceScore]
) -> bool:
    """Return whether probabilities stay in their places when the choices move."""
    before, after, right = (
        np.array([score.prob for score in scores])
        for scores in (result.scores, permuted.scores, expected)
    )
    return np.allclose(before, after) and not np.allclose(right, after)


def _order_counts(
    prompt: str, order: Sequence[str], expected: Sequence[ChoiceScore], permuted: ChoiceScores
) -> LawViolation:
    probs = [score.prob for score in permuted.scores]
    is_reversed = np.allclose(probs, [score.prob for score in expected][::-1])
    return LawViolation(
        "in another order, choices have other scores",
        given=(prompt, list(order)),
        expected=round_values([score.logprob for score in expected]),
        got=round_values([score.logprob for score in permuted.scores]),
        cause="scores belong to positions, not to choices: a score stored under its index, or "
        "results in another order"
        if is_reversed or not np.allclose(probs, [score.prob for score in expected])
        else "",
    )


@law("choices")
def norms_and_suffixes(subject: BackendUnderTest) -> None:
    """A norm changes only the probabilities, a suffix is scored, and what is not is refused."""
    refusals: list[str] = []
    accepted = 0
    for prompt in subject.prompts[:2]:
        checks: list[Callable[[], None]] = [
            partial(_check_norm, subject, prompt, norm) for norm in CHECKED_NORMS
        ]
        if subject.can_tokenize(f"{prompt}{subject.choices[0]}\n"):
            checks.append(partial(_check_suffix, subject, prompt))
        for check in checks:
            try:
                check()
                accepted += 1
            except CapabilityError as error:
                refusals.append(str(error))
    if not accepted:
        raise NotApplicableError(refusals[0])


def _check_norm(subject: BackendUnderTest, prompt: str, norm: Norm) -> None:
    result = subject.raw.choose(prompt, subject.choices, norm=norm)
    require_equal(
        norm,
        result.norm,
        "the scores are by another norm than requested",
        given=prompt,
        cause="request.norm is ignored: honor it, or raise CapabilityError",
    )
    if not result.exact:
        return
    if norm == "mean":
        values = [score.logprob / max(1, len(score.tokens)) for score in result.scores]
    else:
        values = [getattr(score, SCORE_FIELD_OF_NORM[norm]) for score in result.scores]
    expected, got = softmax(values), [score.prob for score in result.scores]
    if np.isfinite(values).any() and not np.allclose(got, expected, atol=1e-3 + subject.tolerance):
        raise LawViolation(
            f'with norm="{norm}", probabilities do not follow from {SCORE_FIELD_OF_NORM[norm]}',
            given=prompt,
            expected=round_values(expected),
            got=round_values(got),
            cause="request.norm is ignored: honor it, or raise CapabilityError",
        )


def _check_suffix(subject: BackendUnderTest, prompt: str) -> None:
    plain = subject.raw.choose(prompt, subject.choices)
    try:
        ended = subject.raw.choose(prompt, subject.choices, suffix="\n")
    except InputError:
        # Some tokenizers drop it.
        return
    lengths, longer = ([len(score.tokens) for score in result.scores] for result in (plain, ended))
    if ended.exact and lengths == longer:
        raise LawViolation(
            'with suffix="\\n", no choice has more tokens',
            given=prompt,
            expected=f"more than {lengths[0]} tokens",
            got=longer[0],
            cause="request.suffix is ignored: honor it, or raise CapabilityError",
        )
