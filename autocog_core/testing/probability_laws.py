"""Laws of shares: how choices compare, by `choose` of core or of the backend."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np

from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.testing.score_laws import exact_scores
from autocog_core.types.choice import ChoiceScores

#: Letters of a choice that is long.
LONG = 600
#: The logarithm of the smallest number above 0.
SMALLEST = math.log(5e-324)


@law("choices")
def probabilities_sum_to_one(subject: BackendUnderTest) -> None:
    """Shares are finite, sum to 1, and no log-probability is above 0."""
    for prompt in subject.prompts:
        _check_shares(prompt, subject.model.choose(prompt, subject.choices))


@law("choices")
def prefix_choices(subject: BackendUnderTest) -> None:
    """A choice that begins another is scored, and its own share leaves out the longer ones'."""
    prompt, choices = subject.prompts[-1], _with_prefixes(subject.choices)
    subject.require_writable(*(prompt + choice for choice in choices))
    result = exact_scores(subject, prompt, choices)
    found = [score.choice for score in result.scores]
    if found != list(choices):
        raise LawViolation(
            "choices that begin others are lost",
            expected=list(choices),
            got=found,
            cause="only the leaves of the tree are scored",
        )
    pairs = [
        (short, long)
        for short in result.scores
        for long in result.scores
        if short is not long and long.tokens[: len(short.tokens)] == short.tokens
    ]
    if not pairs:
        raise NotApplicableError("this tokenizer gives no choice that begins another")
    if not result.has_prefix_choices:
        raise LawViolation("the result does not say that a choice begins another", got=False)
    for short, long in pairs:
        if short.exclusive_logprob > short.logprob + 1e-9:
            raise LawViolation(
                "a choice gains by its extensions",
                given=short.choice,
                expected=f"at most {short.logprob:.6g}",
                got=short.exclusive_logprob,
            )
        if short.logprob - long.logprob < -subject.tolerance:
            raise LawViolation(
                "a choice is likelier than its own beginning",
                given=long.choice,
                expected=f"at most {short.logprob:.6g}",
                got=long.logprob,
                cause="the sign, or a mean over tokens in place of the sum",
            )
    _check_shares(prompt, result)


def _with_prefixes(choices: Sequence[str]) -> tuple[str, ...]:
    """Choices of which some begin others."""
    first, second, *_ = choices
    if any(one != other and one.startswith(other) for one in choices for other in choices):
        return tuple(choices)
    return (*choices, first + second)


@law("choices", "tokens")
def long_choices(subject: BackendUnderTest) -> None:
    """Shares follow the log-probabilities where probabilities underflow to 0."""
    prompt, (one, other, *_) = subject.prompts[0], subject.choices
    body = _unlikely(subject)
    subject.require_writable(prompt + body + one, prompt + body + other)
    result = exact_scores(subject, prompt, [body + one, body + other])
    _check_shares(prompt, result)
    first, second = result.scores
    if max(first.logprob, second.logprob) > SMALLEST:
        raise NotApplicableError("no choice that fits its context is unlikely enough")
    expected = 1 / (1 + math.exp(min(700, second.exclusive_logprob - first.exclusive_logprob)))
    if not abs(first.prob - expected) <= 1e-6:
        raise LawViolation(
            "the share of a long choice does not follow its log-probability",
            expected=expected,
            got=first.prob,
            cause="probabilities are multiplied, and underflow: add log-probabilities",
        )


def _unlikely(subject: BackendUnderTest) -> str:
    """Words in no order, for models soon foresee what is repeated; as many as fit the context."""
    words = " ".join((*subject.prompts, *subject.choices)).split()
    generator = random.Random(0)  # noqa: S311 - no secret
    limit = subject.model.info.context_length
    beside = max(_length(subject, text) for text in subject.choices)
    beside += len(subject.model.encode(subject.prompts[0])) + 2
    text = ""
    while len(text) < LONG:
        longer = f"{text} {generator.choice(words)}"
        if limit is not None and _length(subject, longer) + beside > limit:
            break
        text = longer
    return text


def _length(subject: BackendUnderTest, text: str) -> int:
    return len(subject.model.tokenize(text, at_start=False))


@law("choices", "scores", "tokens")
def norms_and_suffixes(subject: BackendUnderTest) -> None:
    """A norm changes shares alone, and an end is scored as a part of the choice."""
    model = subject.model
    choices = list(subject.choices)
    for prompt in subject.prompts[:2]:
        plain = exact_scores(subject, prompt, choices)
        normed = model.choose(prompt, choices, norm="mean")
        means = np.array([score.logprob / max(1, len(score.tokens)) for score in plain.scores])
        expected = np.exp(means - means.max())
        expected /= expected.sum()
        got = [score.prob for score in normed.scores]
        if not np.allclose(got, expected, atol=1e-3 + subject.tolerance):
            raise LawViolation(
                'with norm="mean" shares are not those of the means',
                given=prompt,
                expected=[round(float(value), 4) for value in expected],
                got=[round(value, 4) for value in got],
                cause="request.norm is ignored",
            )
        if not subject.can_tokenize(f"{prompt}{choices[0]}\n"):
            continue
        ended = model.choose(prompt, choices, suffix="\n")
        if ended.exact and all(
            len(one.tokens) == len(other.tokens)
            for one, other in zip(plain.scores, ended.scores, strict=True)
        ):
            raise LawViolation(
                'with suffix="\\n" no choice has a token more',
                given=prompt,
                expected=f"more than {len(plain.scores[0].tokens)} tokens",
                got=len(ended.scores[0].tokens),
                cause="request.end is ignored",
            )


def _check_shares(prompt: str, result: ChoiceScores) -> None:
    found = [score.prob for score in result.scores]
    if not all(map(math.isfinite, found)) or abs(sum(found) - 1) > 1e-6:
        raise LawViolation(
            "the shares of choices do not sum to 1",
            given=prompt,
            expected=1.0,
            got=found,
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
    likeliest = int(np.argmax(found))
    if found[result.index] < found[likeliest] - 1e-9:
        raise LawViolation(
            "the choice is not the one with the largest share",
            given=prompt,
            expected=result.scores[likeliest].choice,
            got=result.scores[result.index].choice,
            cause="index counts in another order than the choices",
        )
    if result.exact:
        ranks = np.array([score.exclusive_logprob for score in result.scores])
        if not np.isfinite(ranks).any():
            return
        expected = np.exp(ranks - ranks.max())
        expected /= expected.sum()
        if not np.allclose(found, expected, atol=1e-6):
            raise LawViolation(
                "shares are not those of the log-probabilities",
                given=prompt,
                expected=[round(float(value), 6) for value in expected],
                got=found,
                cause="prob is the softmax of `exclusive` over the choices; where probabilities "
                "are multiplied, they underflow",
            )
