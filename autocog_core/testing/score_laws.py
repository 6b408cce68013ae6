"""Laws of choice scores: `choose` of core, or the hook `choose` of the backend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from autocog_core.errors import CapabilityError
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import (
    logprob_distance,
    require_equal,
    round_values,
)
from autocog_core.testing.diagnosis import diagnose_scores
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.testing.texts import out_of_order
from autocog_core.types.choice import ChoiceScore, ChoiceScores


@law("choices", "tokens")
def boundary(subject: BackendUnderTest) -> None:
    """A choice is scored by the tokens of prompt and choice together."""
    for prompt, result in _scored_prompts(subject):
        base = _base_length(subject, prompt, result)
        for score in result.scores:
            require_equal(
                tuple(subject.model.encode(prompt + score.choice)[base:]),
                tuple(score.tokens),
                "a choice is scored by other tokens than prompt and choice have together",
                given=(prompt, score.choice),
                cause="prompt and choice are tokenized apart",
            )


@law("choices", "tokens")
def choice_tokens_spell_choice(subject: BackendUnderTest) -> None:
    """The scored tokens of a choice spell the choice, with all its blanks."""
    for prompt, result in _scored_prompts(subject):
        for score in result.scores:
            expected = subject.normalize(result.healed_text + score.choice).encode()
            got = subject.model.detokenize_bytes(score.tokens)
            is_stripped = got.strip() == expected.strip()
            require_equal(
                expected,
                got,
                "the tokens of a choice spell another text",
                given=(prompt, score.choice),
                cause="choices are stripped before they are scored" if is_stripped else "",
            )


@law("choices", "scores", "tokens")
def chain_rule(subject: BackendUnderTest) -> None:
    """The score of a choice is the sum of its tokens' log-probabilities."""
    for prompt, result in _scored_prompts(subject):
        base = _base_length(subject, prompt, result)
        for score in result.scores:
            tokens = subject.model.encode(prompt + score.choice)
            expected = [
                subject.logprob(tokens[:end], tokens[end]) for end in range(base, len(tokens))
            ]
            got = list(score.token_logprobs)
            if not subject.are_tolerable(expected, got):
                raise LawViolation(
                    "the tokens of a choice have other scores than in separate calls",
                    given=(prompt, score.choice),
                    expected=round_values(expected),
                    got=round_values(got),
                    cause=diagnose_scores(subject, tokens, base, got),
                )
            total = sum(expected)
            if not subject.is_tolerable(logprob_distance(score.logprob, total), len(expected)):
                raise LawViolation(
                    "the logprob of a choice is not the sum over its tokens",
                    given=(prompt, score.choice),
                    expected=total,
                    got=score.logprob,
                    cause=_diagnose_sum(score.logprob, expected),
                )


def _diagnose_sum(got: float, logprobs: Sequence[float]) -> str:
    total = sum(logprobs)
    for value, cause in (
        (-total, "the sign: it is a negative log-likelihood"),
        (total / len(logprobs), "it is the mean: core computes the norms"),
        (math.exp(total), "it is a probability: return its logarithm"),
        (total - logprobs[0], "the first token is not counted"),
    ):
        if logprob_distance(got, value) < 1e-3:
            return cause
    return ""


@law("choices")
def choice_order_is_kept(subject: BackendUnderTest) -> None:
    """Scores have the order of the choices, even if choices differ only in blanks or case."""
    prompt = subject.prompts[min(2, len(subject.prompts) - 1)]
    choices = _similar_choices(subject, prompt)
    result = subject.raw.choose(prompt, choices)
    require_equal(
        choices,
        [score.choice for score in result.scores],
        "choices are missing or in another order",
    )
    if not result.exact:
        return
    scores_alone = [subject.raw.choose(prompt, [choice]).best for choice in choices]
    for choice, alone, score in zip(choices, scores_alone, result.scores, strict=True):
        count = len(alone.tokens)
        subject.is_tolerable(logprob_distance(_sum_of_last(score, count), alone.logprob), count)
        if not _is_same_score(subject, score, alone):
            raise LawViolation(
                "among other choices, a choice has another score than alone",
                given=choice,
                expected=alone.logprob,
                got=_sum_of_last(score, len(alone.tokens)),
                cause=_diagnose_order(subject, choice, score, scores_alone),
            )


def _similar_choices(subject: BackendUnderTest, prompt: str) -> list[str]:
    """Return a choice with more and fewer blanks and in another case, if the tokens differ."""
    word = subject.choices[0].strip() or subject.choices[0]
    texts = dict.fromkeys([word, f" {word}", f"  {word}", word.swapcase()])
    if not subject.offers("tokens"):
        return list(texts)
    by_tokens: dict[tuple[int, ...], str] = {}
    for text in texts:
        if subject.can_tokenize(prompt + text):
            by_tokens.setdefault(tuple(subject.model.tokenize(prompt + text)), text)
    return list(by_tokens.values()) if len(by_tokens) > 1 else list(subject.choices[::-1])


def _is_same_score(subject: BackendUnderTest, score: ChoiceScore, alone: ChoiceScore) -> bool:
    """Return whether the score of a choice equals its score alone, which may have fewer tokens."""
    count = len(alone.tokens)
    difference = logprob_distance(_sum_of_last(score, count), alone.logprob)
    return (
        tuple(score.tokens[-count:]) == tuple(alone.tokens)
        and difference <= subject.tolerance * count
    )


def _sum_of_last(score: ChoiceScore, count: int) -> float:
    return sum(score.token_logprobs[-count:])


def _diagnose_order(
    subject: BackendUnderTest, choice: str, score: ChoiceScore, scores_alone: Sequence[ChoiceScore]
) -> str:
    """Return which other choice the score belongs to, if any."""
    for alone in scores_alone:
        if not _is_same_score(subject, score, alone):
            continue
        if alone.choice.strip().casefold() == choice.strip().casefold():
            return f"it is {alone.choice!r}'s: scores are looked up by a stripped or folded text"
        return f"it is {alone.choice!r}'s: scores are in another order than the choices"
    return ""


@law("choices")
def choice_batches_match(subject: BackendUnderTest) -> None:
    """Choices have the same scores in a batch of prompts as alone."""
    model, choices = subject.model, list(subject.choices)
    prompts = out_of_order(subject.prompts)
    batch = model.choose_many(prompts, choices)
    for prompt, result in zip(prompts, batch, strict=True):
        alone = model.choose(prompt, choices)
        for expected, score in zip(alone.scores, result.scores, strict=True):
            difference = logprob_distance(expected.logprob, score.logprob)
            if not subject.is_tolerable(difference, len(expected.tokens)):
                raise LawViolation(
                    "in a batch, the choices of a prompt have other scores than alone",
                    given=(prompt, expected.choice),
                    expected=expected.logprob,
                    got=score.logprob,
                    cause="padding that is not masked, or rows in another order than the prompts",
                )


def exact_scores(subject: BackendUnderTest, prompt: str, choices: Sequence[str]) -> ChoiceScores:
    """Return exact scores of choices.

    :raises NotApplicableError: if the backend has none.
    """
    try:
        result = subject.raw.choose(prompt, choices)
    except CapabilityError as error:
        raise NotApplicableError(str(error)) from error
    if not result.exact:
        raise NotApplicableError(f"scores are not exact: {result.reason}")
    return result


def _scored_prompts(subject: BackendUnderTest) -> Iterator[tuple[str, ChoiceScores]]:
    """Yield every prompt with the exact scores of the choices."""
    for prompt in subject.prompts:
        yield prompt, exact_scores(subject, prompt, subject.choices)


def _base_length(subject: BackendUnderTest, prompt: str, result: ChoiceScores) -> int:
    """Return how many tokens the prompt shares with all choices, each of which has one more.

    :raises LawViolation: if the result's `boundary` does not agree.
    """
    model = subject.model
    prompt_ids = model.encode(prompt)
    joint_ids = [model.encode(prompt + score.choice) for score in result.scores]
    length = 0
    while (
        length < len(prompt_ids)
        and all(tokens[length] == prompt_ids[length] for tokens in joint_ids)
        and all(len(tokens) > length + 1 for tokens in joint_ids)
    ):
        length += 1
    is_healed = length < len(prompt_ids)
    if (result.boundary == "healed") is not is_healed:
        raise LawViolation(
            "the result states the wrong boundary",
            given=prompt,
            expected="healed" if is_healed else "clean",
            got=result.boundary,
            cause="prompt and choice are tokenized apart",
        )
    return length
