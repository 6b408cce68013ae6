"""Laws of sampling: alternatives, seeds, and filters such as `top_k`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autocog_core.errors import CapabilityError, InputError
from autocog_core.numerics import log_softmax
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import require_equal
from autocog_core.testing.completion_laws import MAX_TOKENS, greedy_completion
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.types.completion import Completion

#: At this temperature most models write different texts. All servers accept it.
TEMPERATURE = 2.0
#: Something less probable does not happen by chance.
MIN_CHANCE = 1e-6
#: Each filter leaves only the likeliest token.
FILTERS: dict[str, float] = {"top_k": 1, "top_p": 1e-6, "min_p": 1.0}


@law("completions")
def sampled_alternatives(subject: BackendUnderTest) -> None:
    """A request for `n` samples returns `n` samples, and they differ."""
    (sample,) = _samples(subject, [{"n": 4, "seed": 1}])
    require_equal(3, len(sample.alternatives), "alternatives are missing", given="n=4")
    if _are_suspiciously_equal(subject, [sample, *sample.alternatives]):
        raise LawViolation(
            "at temperature 2, all samples are the same",
            given="n=4, temperature=2",
            got=sample.text,
            cause="every sample begins from the same seed, or temperature is ignored",
        )


@law("completions")
def seed_repeats_sample(subject: BackendUnderTest) -> None:
    """The same seed repeats a sample, and other seeds give other samples."""
    sample, repeated, *others = _samples(subject, [{"seed": seed} for seed in (1, 1, 2, 3, 4)])
    require_equal(
        sample.text,
        repeated.text,
        "the same seed gives another sample",
        given="seed=1, temperature=2",
        cause="request.seed is ignored, or it seeds a generator that several calls share",
    )
    if _are_suspiciously_equal(subject, [sample, *others]):
        raise LawViolation(
            "other seeds give the same sample",
            given="seed=1, 2, 3, 4, temperature=2",
            got=sample.text,
            cause="every call begins from the same seed, or temperature is ignored",
        )


@law("completions")
def sampling_filters(subject: BackendUnderTest) -> None:
    """A filter that leaves only the likeliest token makes sampling greedy."""
    greedy = greedy_completion(subject)
    count = _count_decided_tokens(subject, greedy)
    if not count:
        raise NotApplicableError("two tokens are equally likely, so greedy decoding is random")
    expected = greedy.tokens[:count] or greedy.text
    refusals = []
    for name, value in FILTERS.items():
        try:
            samples = [_sample(subject, **{name: value}) for _ in range(subject.count(3))]
        except (CapabilityError, InputError) as error:
            refusals.append(str(error))
            continue
        for sample in samples:
            if (sample.tokens[:count] or sample.text) != expected:
                raise LawViolation(
                    "sampling takes another token than the only one left",
                    given=f"{name}={value:g}, temperature=2",
                    expected=greedy.text,
                    got=sample.text,
                    cause=f"request.{name} is ignored: honor it, or raise CapabilityError",
                )
    if len(refusals) == len(FILTERS):
        raise NotApplicableError("; ".join(refusals))


def _sample(subject: BackendUnderTest, **arguments: Any) -> Completion:
    """Return a completion of the last prompt at a high temperature."""
    max_tokens = subject.free_tokens(MAX_TOKENS)
    return subject.raw.complete(
        subject.prompts[-1], max_tokens=max_tokens, temperature=TEMPERATURE, **arguments
    )


def _samples(subject: BackendUnderTest, requests: Sequence[dict[str, Any]]) -> list[Completion]:
    """Return a sample for each request.

    :raises NotApplicableError: if the backend does not support one.
    """
    try:
        return [_sample(subject, **arguments) for arguments in requests]
    except CapabilityError as error:
        raise NotApplicableError(str(error)) from error


def _are_suspiciously_equal(subject: BackendUnderTest, samples: Sequence[Completion]) -> bool:
    """Return whether samples have the same text, which is too improbable to be chance."""
    texts = {sample.text for sample in samples}
    return len(texts) == 1 and _repetition_chance(subject, samples[0].tokens) < MIN_CHANCE


def _repetition_chance(subject: BackendUnderTest, tokens: Sequence[int]) -> float:
    """Return the probability that three more samples have these tokens."""
    if not subject.offers("rows"):
        return 0.0 if len(tokens) > 2 else 1.0
    context = subject.model.encode(subject.prompts[-1])
    logprob = 0.0
    for token in tokens:
        logits = subject.model.greedy(context).astype(np.float64) / TEMPERATURE
        logprob += float(log_softmax(logits)[token])
        context.append(token)
    return float(np.exp(3 * logprob))


def _count_decided_tokens(subject: BackendUnderTest, greedy: Completion) -> int:
    """Return how many tokens come before the first one with an equally likely alternative."""
    if not (subject.offers("rows") and subject.offers("tokens")):
        return (
            subject.free_tokens(MAX_TOKENS) if greedy_completion(subject).text == greedy.text else 0
        )
    context = subject.model.encode(subject.prompts[-1])
    for count, token in enumerate(greedy.tokens):
        second, first = np.partition(subject.model.greedy(context), -2)[-2:]
        if first - second <= 2 * subject.tolerance:
            return count
        context.append(token)
    return len(greedy.tokens)
