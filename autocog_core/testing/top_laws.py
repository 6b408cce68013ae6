"""Laws of the best choices: a part of the token choice tree proves what the whole tree says."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import logprob_distance
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.testing.score_laws import exact_scores
from autocog_core.types.choice import ChoiceScores
from autocog_core.types.json_number import to_json_number
from autocog_core.types.top_choices import TopChoice

_CAUSE = (
    "a part of a token tree has other scores than in the whole tree: they depend on the number, "
    "the order or the depth of the queried nodes"
)


@law("choices")
def best_choices_match(subject: BackendUnderTest) -> None:
    """The best choices are those of the whole tree, and their bounds hold its numbers."""
    proven = 0
    for prompt in subject.prompts[:2]:
        choices = _longer_choices(subject, prompt)
        whole = exact_scores(subject, prompt, choices)
        for top in (1, 2):
            part = subject.model.choose(prompt, choices, top=top)
            if part.proven and part.exact:
                proven += 1
                _check_best(subject, prompt, whole, part.top)
                _check_bounds(subject, prompt, whole, part.score_bounds)
    if not proven:
        raise NotApplicableError("no best choices are proven")


def _longer_choices(subject: BackendUnderTest, prompt: str) -> tuple[str, ...]:
    """Return choices of which some begin others: their tree has several levels."""
    texts = subject.choices
    longer = tuple(first + second for first in texts for second in texts)
    return (*texts, *(text for text in longer if subject.can_tokenize(prompt + text)))[:12]


def _check_best(
    subject: BackendUnderTest, prompt: str, whole: ChoiceScores, top: Sequence[TopChoice]
) -> None:
    ranked = sorted((score.exclusive_logprob for score in whole.scores), reverse=True)
    for choice, expected in zip(top, ranked, strict=False):
        score = whole.scores[choice.index]
        given = (prompt, choice.choice)
        for name in ("logprob", "exclusive_logprob"):
            values = getattr(score, name), getattr(choice, name)
            if not subject.is_tolerable(logprob_distance(*values), len(score.tokens)):
                raise LawViolation(
                    f"one of the best choices has another {name} than in the whole tree",
                    given=given,
                    expected=values[0],
                    got=values[1],
                    cause=_CAUSE,
                )
        slack = subject.tolerance * max(len(each.tokens) for each in whole.scores)
        if score.exclusive_logprob < expected - 2 * slack - 1e-9:
            raise LawViolation(
                "a choice is called one of the best, but others are better",
                given=given,
                expected=f"a score of {expected:.6g}",
                got=score.exclusive_logprob,
            )
        low, high = choice.prob_bounds
        factor = math.exp(min(50.0, 2 * slack))
        if not low / factor - 1e-6 <= score.prob <= high * factor + 1e-6:
            raise LawViolation(
                "the probability of a best choice is outside of its prob_bounds",
                given=given,
                expected=score.prob,
                got=choice.prob_bounds,
                cause=_CAUSE,
            )


def _check_bounds(
    subject: BackendUnderTest, prompt: str, whole: ChoiceScores, bounds: Sequence[float]
) -> None:
    for score, bound in zip(whole.scores, bounds, strict=True):
        slack = subject.tolerance * len(score.tokens) + 1e-9
        if score.exclusive_logprob > bound + slack:
            raise LawViolation(
                "the score of a choice is above its bound",
                given=(prompt, score.choice),
                expected=f"at least {score.exclusive_logprob:.6g}",
                got=to_json_number(bound),
                cause=_CAUSE,
            )
