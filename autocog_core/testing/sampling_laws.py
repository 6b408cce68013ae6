"""Laws of sampling: alternatives, seeds, and what leaves tokens out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autocog_core.errors import CapabilityError, InputError
from autocog_core.numerics import log_softmax
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.completion_laws import LENGTH, greedy_completion
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.types.completion import Completion

#: A temperature at which most models say different things, and which all servers take.
HOT = 2.0
#: What happens less often than this happens for a reason.
RARE = 1e-6
#: Each of them leaves nothing but the likeliest token.
FILTERS: dict[str, float] = {"top_k": 1, "top_p": 1e-6, "min_p": 1.0}


@law("completions")
def sampled_alternatives(subject: BackendUnderTest) -> None:
    """As many alternatives come as are asked for; sampled ones are not all the same."""
    try:
        found = _hot(subject, n=4, seed=1)
    except CapabilityError as error:
        raise NotApplicableError(str(error)) from error
    if len(found.alternatives) != 3:
        raise LawViolation(
            "alternatives are missing", given="n=4", expected=3, got=len(found.alternatives)
        )
    texts = {found.text, *(other.text for other in found.alternatives)}
    if len(texts) == 1 and _chance(subject, found.tokens) < RARE:
        raise LawViolation(
            "at temperature 2 all of them are the same",
            given="n=4, temperature=2",
            got=found.text,
            cause="each begins from the same seed, or temperature is ignored",
        )


@law("completions")
def seed_repeats_sample(subject: BackendUnderTest) -> None:
    """The same seed says the same again, and others say something else."""
    try:
        found, again, *others = (_hot(subject, seed=seed) for seed in (1, 1, 2, 3, 4))
    except CapabilityError as error:
        raise NotApplicableError(str(error)) from error
    if found.text != again.text:
        raise LawViolation(
            "with the same seed it says something else",
            given="seed=1, temperature=2",
            expected=found.text,
            got=again.text,
            cause="request.seed is ignored, or seeds a generator that goes on from call to call",
        )
    texts = {found.text, *(other.text for other in others)}
    if len(texts) == 1 and _chance(subject, found.tokens) < RARE:
        raise LawViolation(
            "with other seeds it says the same",
            given="seed=1, 2, 3, 4, temperature=2",
            got=found.text,
            cause="every call begins from the same seed, or temperature is ignored",
        )


@law("completions")
def sampling_filters(subject: BackendUnderTest) -> None:
    """What leaves the likeliest token alone is greedy at any temperature."""
    plain = greedy_completion(subject, subject.free_tokens(LENGTH))
    clear = _clear(subject, plain)
    if not clear:
        raise NotApplicableError("two tokens are as likely, so greedy decoding is a toss-up")
    refused = []
    for name, value in FILTERS.items():
        try:
            found = [_hot(subject, **{name: value}) for _ in range(3)]
        except (CapabilityError, InputError) as error:
            refused.append(str(error))
            continue
        for each in found:
            said, due = each.tokens[:clear] or each.text, plain.tokens[:clear] or plain.text
            if said != due:
                raise LawViolation(
                    "the likeliest token alone is left, and it says another",
                    given=f"{name}={value:g}, temperature=2",
                    expected=plain.text,
                    got=each.text,
                    cause=f"request.{name} is ignored: honour it, or refuse it by CapabilityError",
                )
    if len(refused) == len(FILTERS):
        raise NotApplicableError("; ".join(refused))


def _hot(subject: BackendUnderTest, **arguments: Any) -> Completion:
    prompt, length = subject.prompts[-1], subject.free_tokens(LENGTH)
    return subject.model.complete(prompt, max_tokens=length, temperature=HOT, **arguments)


def _clear(subject: BackendUnderTest, plain: Completion) -> int:
    """How many tokens are decided before a second one comes near the likeliest."""
    if not (subject.offers("rows") and subject.offers("tokens")):
        again = greedy_completion(subject, subject.free_tokens(LENGTH))
        return LENGTH if again.text == plain.text else 0
    before = subject.model.encode(subject.prompts[-1])
    for number, token in enumerate(plain.tokens):
        second, first = np.partition(subject.model.greedy(before), -2)[-2:]
        if first - second <= 2 * subject.tolerance:
            return number
        before.append(token)
    return len(plain.tokens)


def _chance(subject: BackendUnderTest, tokens: Sequence[int]) -> float:
    """How likely it is that three more samples are these tokens too."""
    if not subject.offers("rows"):
        return 0.0 if len(tokens) > 2 else 1.0
    before = subject.model.encode(subject.prompts[-1])
    total = 0.0
    for token in tokens:
        total += float(log_softmax(subject.model.greedy(before).astype(np.float64) / HOT)[token])
        before.append(token)
    return float(np.exp(3 * total))
