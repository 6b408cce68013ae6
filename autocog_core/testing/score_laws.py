"""Laws of choices: what `choose` answers, by core's token tree or by the backend's own means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autocog_core.errors import CapabilityError
from autocog_core.testing.causes import cause_of_scores
from autocog_core.testing.law import LawBrokenError, NotApplicableError, law
from autocog_core.testing.subject import Subject, apart, fits
from autocog_core.types import ChoiceScores

#: Of which one begins another, in most tokenizers at a token's end.
PREFIXES = (" 1", " 10", " 100", " Paris", " Paris, France")
LONG = 600


@law("choices", "tokens")
def boundary(subject: Subject) -> None:
    """A choice is scored by the tokens that prompt and choice have together."""
    for prompt in subject.prompts:
        result = _exact(subject, prompt, subject.choices)
        base = _base_length(subject, prompt, result)
        for score in result.scores:
            joint = subject.model.encode(prompt + score.choice)
            if tuple(joint[base:]) != tuple(score.tokens):
                raise LawBrokenError(
                    "a choice is scored by other tokens than the text would have",
                    given=(prompt, score.choice),
                    expected=tuple(joint[base:]),
                    got=tuple(score.tokens),
                    cause="prompt and choice are tokenized apart",
                )


@law("choices", "tokens")
def choices_are_spelled(subject: Subject) -> None:
    """The decided tokens spell the choice: no blank is lost, none is added."""
    for prompt in subject.prompts:
        result = _exact(subject, prompt, subject.choices)
        for score in result.scores:
            spelled = subject.model.detokenize_bytes(score.tokens)
            expected = subject.normalized(result.healed_text + score.choice).encode()
            if spelled != expected:
                raise LawBrokenError(
                    "the tokens of a choice spell something else",
                    given=(prompt, score.choice),
                    expected=expected,
                    got=spelled,
                    cause="choices are stripped before they are scored"
                    if spelled.strip() == expected.strip()
                    else "",
                )


@law("choices", "scores", "tokens")
def chain_rule(subject: Subject) -> None:
    """A choice's score is the sum of its tokens' log-probabilities, each read before its token."""
    model = subject.model
    for prompt in subject.prompts:
        result = _exact(subject, prompt, subject.choices)
        base = _base_length(subject, prompt, result)
        for score in result.scores:
            joint = model.encode(prompt + score.choice)
            plain = [
                subject.logprob(joint[:place], joint[place]) for place in range(base, len(joint))
            ]
            got = list(score.token_logprobs)
            far = len(got) != len(plain) or any(
                apart(one, other) > subject.tolerance for one, other in zip(plain, got, strict=True)
            )
            if far:
                raise LawBrokenError(
                    "a choice has other scores than its tokens, asked for one by one",
                    given=(prompt, score.choice),
                    expected=[round(value, 4) for value in plain],
                    got=[round(value, 4) for value in got],
                    cause=cause_of_scores(subject, joint, base, got),
                )
            if apart(score.logprob, sum(plain)) > subject.tolerance * len(plain):
                raise LawBrokenError(
                    "a choice's logprob is not the sum over its tokens",
                    given=(prompt, score.choice),
                    expected=sum(plain),
                    got=score.logprob,
                    cause=_cause_of_sum(score.logprob, plain),
                )


def _cause_of_sum(got: float, plain: Sequence[float]) -> str:
    total = sum(plain)
    for value, cause in (
        (-total, "the sign: it is a negative log-likelihood"),
        (total / len(plain), "it is the mean: norms have fields of their own"),
        (math.exp(total), "it is a probability: take its logarithm"),
        (total - plain[0], "the first token is not counted"),
    ):
        if apart(got, value) < 1e-3:
            return cause
    return ""


@law("choices")
def choices_in_order(subject: Subject) -> None:
    """Scores come in the order of the choices, also where these differ by a blank alone."""
    choices = ["a", " a", "  a", "A"]
    result = subject.model.choose("The answer:", choices)
    found = [score.choice for score in result.scores]
    if found != choices:
        raise LawBrokenError("choices are lost or out of order", expected=choices, got=found)
    if not result.exact:
        return
    for choice, score in zip(choices, result.scores, strict=True):
        alone = subject.model.choose("The answer:", [choice]).best
        shared = len(alone.tokens)
        got = sum(score.token_logprobs[-shared:])
        if (
            tuple(score.tokens[-shared:]) != tuple(alone.tokens)
            or apart(got, alone.logprob) > subject.tolerance * shared
        ):
            raise LawBrokenError(
                "a choice has another one's score",
                given=choice,
                expected=alone.logprob,
                got=got,
                cause="scores are looked up by a text that was stripped or folded",
            )


@law("choices")
def shares(subject: Subject) -> None:
    """Shares are finite, sum to 1, and no log-probability is above 0."""
    for prompt in subject.prompts:
        _check_shares(prompt, subject.model.choose(prompt, subject.choices))


@law("choices")
def prefix_choices(subject: Subject) -> None:
    """A choice that begins another is scored, and its own share leaves out the longer ones'."""
    prompt = "The number is"
    result = _exact(subject, prompt, PREFIXES)
    found = [score.choice for score in result.scores]
    if found != list(PREFIXES):
        raise LawBrokenError(
            "choices that begin others are lost",
            expected=list(PREFIXES),
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
    if not result.prefix_ambiguous:
        raise LawBrokenError("the result does not say that a choice begins another", got=False)
    for short, long in pairs:
        if short.exclusive > short.logprob + 1e-9:
            raise LawBrokenError(
                "a choice gains by its extensions",
                given=short.choice,
                expected=f"at most {short.logprob:.6g}",
                got=short.exclusive,
            )
        if short.logprob - long.logprob < -subject.tolerance:
            raise LawBrokenError(
                "a choice is likelier than its own beginning",
                given=long.choice,
                expected=f"at most {short.logprob:.6g}",
                got=long.logprob,
                cause="the sign, or a mean over tokens in place of the sum",
            )
    _check_shares(prompt, result)


@law("choices", "tokens")
def long_choices(subject: Subject) -> None:
    """Shares follow the log-probabilities where probabilities underflow to 0."""
    body = " and so on" * (LONG // 10)
    length = len(subject.model.tokenize(body + " Paris"))
    if not fits(subject.model, length + 16):
        raise NotApplicableError("the context is too short for it")
    result = _exact(subject, "Well", [body + " Paris", body + " Lyon"])
    _check_shares("Well", result)
    first, second = result.scores
    expected = 1 / (1 + math.exp(min(700, second.exclusive - first.exclusive)))
    if abs(first.prob - expected) > 1e-6:
        raise LawBrokenError(
            "the share of a long choice does not follow its log-probability",
            expected=expected,
            got=first.prob,
            cause="probabilities are multiplied, and underflow: add log-probabilities",
        )


@law("choices", "scores", "tokens")
def norms_and_ends(subject: Subject) -> None:
    """A norm changes shares alone, and an end is scored as a part of the choice."""
    model = subject.model
    choices = list(subject.choices)
    for prompt in subject.prompts[:2]:
        plain = _exact(subject, prompt, choices)
        normed = model.choose(prompt, choices, norm="mean")
        means = np.array([score.logprob / max(1, len(score.tokens)) for score in plain.scores])
        expected = np.exp(means - means.max())
        expected /= expected.sum()
        got = [score.prob for score in normed.scores]
        if not np.allclose(got, expected, atol=1e-3 + subject.tolerance):
            raise LawBrokenError(
                'with norm="mean" shares are not those of the means',
                given=prompt,
                expected=[round(float(value), 4) for value in expected],
                got=[round(value, 4) for value in got],
                cause="request.norm is ignored",
            )
        ended = model.choose(prompt, choices, end="\n")
        if ended.exact and all(
            len(one.tokens) == len(other.tokens)
            for one, other in zip(plain.scores, ended.scores, strict=True)
        ):
            raise LawBrokenError(
                'with end="\\n" no choice has a token more',
                given=prompt,
                expected=f"more than {len(plain.scores[0].tokens)} tokens",
                got=len(ended.scores[0].tokens),
                cause="request.end is ignored",
            )


@law("choices")
def choices_together(subject: Subject) -> None:
    """Prompts that are asked together have the scores of each alone."""
    model = subject.model
    # Neither from short to long nor back: engines sort them, and may forget to sort back.
    prompts = [*subject.prompts[1:], subject.prompts[0]]
    together = model.choose_many(prompts, list(subject.choices))
    for prompt, found in zip(prompts, together, strict=True):
        alone = model.choose(prompt, subject.choices)
        for one, other in zip(alone.scores, found.scores, strict=True):
            length = max(1, len(one.tokens))
            if apart(one.logprob, other.logprob) > subject.tolerance * length:
                raise LawBrokenError(
                    "beside others, a prompt's choices have other scores than alone",
                    given=(prompt, one.choice),
                    expected=one.logprob,
                    got=other.logprob,
                    cause="padding that is not masked, or rows that are mixed up",
                )


def _exact(subject: Subject, prompt: str, choices: Sequence[str]) -> ChoiceScores:
    """Scores by tokens.

    :raises NotApplicableError: where the backend says that it has none.
    """
    try:
        result = subject.model.choose(prompt, list(choices))
    except CapabilityError as error:
        raise NotApplicableError(str(error)) from error
    if not result.exact:
        raise NotApplicableError(f"scores are not exact: {result.why}")
    return result


def _base_length(subject: Subject, prompt: str, result: ChoiceScores) -> int:
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
        raise LawBrokenError(
            "the boundary is not what the result says",
            given=prompt,
            expected="healed" if healed else "clean",
            got=result.boundary,
            cause="prompt and choice are tokenized apart",
        )
    return length


def _check_shares(prompt: str, result: ChoiceScores) -> None:
    found = [score.prob for score in result.scores]
    if not all(map(math.isfinite, found)) or abs(sum(found) - 1) > 1e-6:
        raise LawBrokenError(
            "the shares of choices do not sum to 1",
            given=prompt,
            expected=1.0,
            got=found,
            cause="probabilities are multiplied, and underflow: add log-probabilities",
        )
    for score in result.scores:
        if score.logprob > 0:
            raise LawBrokenError(
                "a log-probability is above 0",
                given=(prompt, score.choice),
                expected="at most 0",
                got=score.logprob,
                cause="the sign: these are negative log-likelihoods",
            )
    likeliest = int(np.argmax(found))
    if found[result.index] < found[likeliest] - 1e-9:
        raise LawBrokenError(
            "the choice is not the one with the largest share",
            given=prompt,
            expected=result.scores[likeliest].choice,
            got=result.scores[result.index].choice,
            cause="index counts in another order than the choices",
        )
    if result.exact:
        ranks = np.array([score.exclusive for score in result.scores])
        if not np.isfinite(ranks).any():
            return
        expected = np.exp(ranks - ranks.max())
        expected /= expected.sum()
        if not np.allclose(found, expected, atol=1e-6):
            raise LawBrokenError(
                "shares are not those of the log-probabilities",
                given=prompt,
                expected=[round(float(value), 6) for value in expected],
                got=found,
                cause="prob is the softmax of `exclusive` over the choices; where probabilities "
                "are multiplied, they underflow",
            )
