"""Laws of probabilities: how choices compare."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np

from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import Values, require_equal, round_values
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.testing.score_laws import exact_scores
from autocog_core.types.choice import ChoiceScores

#: Length of a choice whose probability underflows, in characters.
LONG_CHOICE_LENGTH = 600
#: The logarithm of the smallest number above 0.
MIN_LOG = math.log(5e-324)


@law("choices")
def probabilities_sum_to_one(subject: BackendUnderTest) -> None:
    """Probabilities of choices sum to 1, and no log-probability is above 0."""
    for prompt in subject.prompts:
        _check_probabilities(prompt, subject.raw.choose(prompt, subject.choices))


@law("choices")
def prefix_choices(subject: BackendUnderTest) -> None:
    """A choice that begins a longer one is scored, without the probability of the longer one."""
    prompt, choices = subject.prompts[-1], _choices_with_prefixes(subject.choices)
    subject.require_tokenizable(*(prompt + choice for choice in choices))
    result = exact_scores(subject, prompt, choices)
    require_equal(
        list(choices),
        [score.choice for score in result.scores],
        "choices that begin longer ones are missing",
        cause="only the leaves of the tree are scored",
    )
    pairs = [
        (short, long)
        for short in result.scores
        for long in result.scores
        if short is not long and long.tokens[: len(short.tokens)] == short.tokens
    ]
    if not pairs:
        raise NotApplicableError("in this tokenizer, no choice begins another one")
    if not result.has_prefix_choices:
        raise LawViolation(
            "has_prefix_choices is false, but a choice begins another one", got=False
        )
    for short, long in pairs:
        if short.exclusive_logprob > short.logprob + 1e-9:
            raise LawViolation(
                "the exclusive_logprob of a choice is above its logprob",
                given=short.choice,
                expected=f"at most {short.logprob:.6g}",
                got=short.exclusive_logprob,
            )
        if short.logprob - long.logprob < -subject.tolerance:
            raise LawViolation(
                "a choice is likelier than its own prefix",
                given=long.choice,
                expected=f"at most {short.logprob:.6g}",
                got=long.logprob,
                cause="the sign, or a mean over tokens instead of the sum",
            )
    _check_probabilities(prompt, result)


def _choices_with_prefixes(choices: Sequence[str]) -> tuple[str, ...]:
    """Return choices, with one more if none begins another one."""
    first, second, *_ = choices
    if any(text != prefix and text.startswith(prefix) for text in choices for prefix in choices):
        return tuple(choices)
    return (*choices, first + second)


@law("choices", "tokens")
def long_choices(subject: BackendUnderTest) -> None:
    """Probabilities follow the log-probabilities, even if a text's probability underflows to 0."""
    prompt, (first_end, second_end, *_) = subject.prompts[0], subject.choices
    body = _unlikely_text(subject)
    subject.require_tokenizable(prompt + body + first_end, prompt + body + second_end)
    result = exact_scores(subject, prompt, [body + first_end, body + second_end])
    _check_probabilities(prompt, result)
    first, second = result.scores
    if max(first.logprob, second.logprob) > MIN_LOG:
        raise NotApplicableError("no choice that fits the context is unlikely enough")
    expected = 1 / (1 + math.exp(min(700, second.exclusive_logprob - first.exclusive_logprob)))
    if not abs(first.prob - expected) <= 1e-6:
        raise LawViolation(
            "the probability of a long choice does not follow its log-probability",
            expected=expected,
            got=first.prob,
            cause="probabilities are multiplied, and underflow: add log-probabilities",
        )


def _unlikely_text(subject: BackendUnderTest) -> str:
    """Return random words, as many as fit the context; models predict repetitions too well."""
    words = " ".join((*subject.prompts, *subject.choices)).split()
    generator = random.Random(0)  # noqa: S311 - not for secrets
    context = subject.model.info.context_length
    other_tokens = max(_count_tokens(subject, text) for text in subject.choices)
    other_tokens += len(subject.model.encode(subject.prompts[0])) + 2
    text = ""
    while len(text) < LONG_CHOICE_LENGTH:
        longer = f"{text} {generator.choice(words)}"
        if context is not None and _count_tokens(subject, longer) + other_tokens > context:
            break
        text = longer
    return text


def _count_tokens(subject: BackendUnderTest, text: str) -> int:
    return len(subject.model.tokenize(text, at_start=False))


def _check_probabilities(prompt: str, result: ChoiceScores) -> None:
    """Check the probabilities of choices against each other and the log-probabilities."""
    probs = [score.prob for score in result.scores]
    if not all(map(math.isfinite, probs)) or abs(sum(probs) - 1) > 1e-6:
        raise LawViolation(
            "the probabilities of choices do not sum to 1",
            given=prompt,
            expected=1.0,
            got=probs,
            cause="probabilities are multiplied, and underflow: add log-probabilities",
        )
    for score in result.scores:
        if score.logprob > 0:
            raise LawViolation(
                "a log-probability is above 0",
                given=(prompt, score.choice),
                expected="at most 0",
                got=score.logprob,
                cause="the sign: these are negative log-likelihoods",
            )
    likeliest = int(np.argmax(probs))
    if probs[result.index] < probs[likeliest] - 1e-9:
        raise LawViolation(
            "the result's choice is not the likeliest one",
            given=prompt,
            expected=result.scores[likeliest].choice,
            got=result.scores[result.index].choice,
            cause="index refers to another order than that of the choices",
        )
    logprobs = np.array([score.exclusive_logprob for score in result.scores])
    if not result.exact or not np.isfinite(logprobs).any():
        return
    expected = _softmax(logprobs)
    if not np.allclose(probs, expected, atol=1e-6):
        raise LawViolation(
            "probabilities do not follow the log-probabilities",
            given=prompt,
            expected=round_values(expected, 6),
            got=probs,
            cause="prob is the softmax of exclusive_logprob over the choices; products of "
            "probabilities underflow",
        )


def _softmax(values: Values) -> Values:
    exponentials = np.exp(values - values.max())
    result: Values = exponentials / exponentials.sum()
    return result
