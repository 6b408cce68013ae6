"""Laws of scores: what `choose` answers, by core's token tree or by the backend's own means."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autocog_core.errors import CapabilityError
from autocog_core.testing.backend_under_test import BackendUnderTest, logprob_distance
from autocog_core.testing.diagnosis import diagnose_scores
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.types.choice import ChoiceScore, ChoiceScores


@law("choices", "tokens")
def boundary(subject: BackendUnderTest) -> None:
    """A choice is scored by the tokens that prompt and choice have together."""
    for prompt in subject.prompts:
        result = exact_scores(subject, prompt, subject.choices)
        base = _base_length(subject, prompt, result)
        for score in result.scores:
            joint = subject.model.encode(prompt + score.choice)
            if tuple(joint[base:]) != tuple(score.tokens):
                raise LawViolation(
                    "a choice is scored by other tokens than the text would have",
                    given=(prompt, score.choice),
                    expected=tuple(joint[base:]),
                    got=tuple(score.tokens),
                    cause="prompt and choice are tokenized apart",
                )


@law("choices", "tokens")
def choice_tokens_spell_choice(subject: BackendUnderTest) -> None:
    """The decided tokens spell the choice: no blank is lost, none is added."""
    for prompt in subject.prompts:
        result = exact_scores(subject, prompt, subject.choices)
        for score in result.scores:
            spelled = subject.model.detokenize_bytes(score.tokens)
            expected = subject.normalize(result.healed_text + score.choice).encode()
            if spelled != expected:
                raise LawViolation(
                    "the tokens of a choice spell something else",
                    given=(prompt, score.choice),
                    expected=expected,
                    got=spelled,
                    cause="choices are stripped before they are scored"
                    if spelled.strip() == expected.strip()
                    else "",
                )


@law("choices", "scores", "tokens")
def chain_rule(subject: BackendUnderTest) -> None:
    """A choice's score is the sum of its tokens' log-probabilities, each read before its token."""
    model = subject.model
    for prompt in subject.prompts:
        result = exact_scores(subject, prompt, subject.choices)
        base = _base_length(subject, prompt, result)
        for score in result.scores:
            joint = model.encode(prompt + score.choice)
            plain = [
                subject.logprob(joint[:place], joint[place]) for place in range(base, len(joint))
            ]
            got = list(score.token_logprobs)
            far = len(got) != len(plain) or any(
                logprob_distance(one, other) > subject.tolerance
                for one, other in zip(plain, got, strict=True)
            )
            if far:
                raise LawViolation(
                    "a choice has other scores than its tokens, asked for one by one",
                    given=(prompt, score.choice),
                    expected=[round(value, 4) for value in plain],
                    got=[round(value, 4) for value in got],
                    cause=diagnose_scores(subject, joint, base, got),
                )
            if logprob_distance(score.logprob, sum(plain)) > subject.tolerance * len(plain):
                raise LawViolation(
                    "a choice's logprob is not the sum over its tokens",
                    given=(prompt, score.choice),
                    expected=sum(plain),
                    got=score.logprob,
                    cause=_diagnose_sum(score.logprob, plain),
                )


def _diagnose_sum(got: float, plain: Sequence[float]) -> str:
    total = sum(plain)
    for value, cause in (
        (-total, "the sign: it is a negative log-likelihood"),
        (total / len(plain), "it is the mean: norms have fields of their own"),
        (math.exp(total), "it is a probability: take its logarithm"),
        (total - plain[0], "the first token is not counted"),
    ):
        if logprob_distance(got, value) < 1e-3:
            return cause
    return ""


@law("choices")
def choice_order_is_kept(subject: BackendUnderTest) -> None:
    """Scores come in the order of the choices, also where these differ by a blank alone."""
    prompt = subject.prompts[min(2, len(subject.prompts) - 1)]
    choices = _variants(subject, prompt)
    result = subject.model.choose(prompt, choices)
    found = [score.choice for score in result.scores]
    if found != choices:
        raise LawViolation("choices are lost or out of order", expected=choices, got=found)
    if not result.exact:
        return
    alone = [subject.model.choose(prompt, [choice]).best for choice in choices]
    for choice, own, score in zip(choices, alone, result.scores, strict=True):
        shared = len(own.tokens)
        got = sum(score.token_logprobs[-shared:])
        if (
            tuple(score.tokens[-shared:]) != tuple(own.tokens)
            or logprob_distance(got, own.logprob) > subject.tolerance * shared
        ):
            raise LawViolation(
                "beside others, a choice has another score than alone",
                given=choice,
                expected=own.logprob,
                got=got,
                cause=_diagnose_other(subject, choice, score, alone),
            )


def _variants(subject: BackendUnderTest, prompt: str) -> list[str]:
    """A choice with and without blanks before it, and in other letters, where these differ."""
    word = subject.choices[0].strip() or subject.choices[0]
    texts = dict.fromkeys([word, f" {word}", f"  {word}", word.swapcase()])
    if not subject.offers("tokens"):
        return list(texts)
    told: dict[tuple[int, ...], str] = {}
    for text in texts:
        if subject.can_tokenize(prompt + text):
            told.setdefault(tuple(subject.model.tokenize(prompt + text)), text)
    return list(told.values()) if len(told) > 1 else list(subject.choices[::-1])


def _diagnose_other(
    subject: BackendUnderTest, choice: str, score: ChoiceScore, alone: Sequence[ChoiceScore]
) -> str:
    """Whose score it is that a choice got, if that is known."""
    for other in alone:
        shared = len(other.tokens)
        far = logprob_distance(sum(score.token_logprobs[-shared:]), other.logprob)
        if far > subject.tolerance * shared or score.tokens[-shared:] != other.tokens:
            continue
        if other.choice.strip().casefold() == choice.strip().casefold():
            return f"it is {other.choice!r}'s: scores are looked up by a stripped or folded text"
        return f"it is {other.choice!r}'s: scores are in another order than the choices"
    return ""


@law("choices")
def choice_batches_match(subject: BackendUnderTest) -> None:
    """Prompts that are asked together have the scores of each alone."""
    model = subject.model
    # Neither from short to long nor back: engines sort them, and may forget to sort back.
    prompts = [*subject.prompts[1:], subject.prompts[0]]
    together = model.choose_many(prompts, list(subject.choices))
    for prompt, found in zip(prompts, together, strict=True):
        alone = model.choose(prompt, subject.choices)
        for one, other in zip(alone.scores, found.scores, strict=True):
            length = max(1, len(one.tokens))
            if logprob_distance(one.logprob, other.logprob) > subject.tolerance * length:
                raise LawViolation(
                    "beside others, a prompt's choices have other scores than alone",
                    given=(prompt, one.choice),
                    expected=one.logprob,
                    got=other.logprob,
                    cause="padding that is not masked, or rows that are mixed up",
                )


def exact_scores(subject: BackendUnderTest, prompt: str, choices: Sequence[str]) -> ChoiceScores:
    """Scores by tokens.

    :raises NotApplicableError: where the backend says that it has none.
    """
    try:
        result = subject.model.choose(prompt, list(choices))
    except CapabilityError as error:
        raise NotApplicableError(str(error)) from error
    if not result.exact:
        raise NotApplicableError(f"scores are not exact: {result.reason}")
    return result


def _base_length(subject: BackendUnderTest, prompt: str, result: ChoiceScores) -> int:
    """How many tokens prompt and choices share before any choice decides one."""
    model = subject.model
    fixed = model.encode(prompt)
    joint = [model.encode(prompt + score.choice) for score in result.scores]
    length = 0
    while (
        length < len(fixed)
        and all(tokens[length] == fixed[length] for tokens in joint)
        and all(len(tokens) > length + 1 for tokens in joint)
    ):
        length += 1
    healed = length < len(fixed)
    if (result.boundary == "healed") is not healed:
        raise LawViolation(
            "the boundary is not what the result says",
            given=prompt,
            expected="healed" if healed else "clean",
            got=result.boundary,
            cause="prompt and choice are tokenized apart",
        )
    return length
