"""A law of isolated choices: other calls, and other prompts of a call, do not change them."""

from __future__ import annotations

from collections.abc import Sequence

from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation
from autocog_core.testing.texts import out_of_order
from autocog_core.types.choice import ChoiceScore
from autocog_core.types.prompt import TextPiece

Pieces = tuple[TextPiece, TextPiece]


@law("choices")
def isolated_choices_match(subject: BackendUnderTest) -> None:
    """Isolated choices have the same scores after other calls, and with other prompts."""
    model, choices = subject.model, list(subject.choices)
    prompts = [
        (TextPiece(prompt), TextPiece(end))
        for prompt in out_of_order(subject.prompts)
        for end in choices[:2]
    ]
    first = [model.choose(prompt, choices, isolate=True) for prompt in prompts]
    for prompt, expected in zip(prompts[::-1], first[::-1], strict=True):
        # What follows may continue a part of the prompt, all of it, or more than it.
        model.choose(prompt[0].text, choices)
        model.choose(prompt, choices[::-1])
        again = model.choose(prompt, choices, isolate=True)
        _require_same(subject, prompt, expected.scores, again.scores, "after other calls")
    together = model.choose_many(prompts, choices, isolate=True)
    for prompt, expected, got in zip(prompts, first, together, strict=True):
        _require_same(subject, prompt, expected.scores, got.scores, "with other prompts")


def _require_same(
    subject: BackendUnderTest,
    prompt: Pieces,
    expected: Sequence[ChoiceScore],
    got: Sequence[ChoiceScore],
    where: str,
) -> None:
    """Check that scores are equal: to the last bit, if the backend declares it."""
    # This notes the difference, too.
    agree = subject.agree_on_choices(expected, got)
    isolates = subject.model.info.isolates
    if agree and (not isolates or _logprobs(expected) == _logprobs(got)):
        return
    raise LawViolation(
        f"isolated choices have other scores {where}",
        given=tuple(piece.text for piece in prompt),
        expected=_logprobs(expected),
        got=_logprobs(got),
        cause="a query with `isolated_start` continues cached tokens that were not evaluated by "
        "themselves, or is evaluated with another query"
        + (": set info.isolates only if it never is" if isolates else ""),
    )


def _logprobs(scores: Sequence[ChoiceScore]) -> list[float]:
    return [score.logprob for score in scores]
