"""The answer to a question: probabilities, certainty, and what the extensions say about them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autocog_core.server.decisions.confidence import choice_confidence, score_confidence
from autocog_core.server.decisions.question import Question
from autocog_core.types.choice import UNSCORED_METHODS, ChoiceScore, ChoiceScores
from autocog_core.types.json_number import to_json_number


@dataclass(frozen=True, slots=True)
class DecidedQuestion:
    """A question with the scores of its options.

    :ivar question: the question.
    :ivar scores: one score for each option, in their order.
    """

    question: Question
    scores: ChoiceScores

    @property
    def index(self) -> int:
        """The index of the likeliest option."""
        return self.scores.index

    @property
    def probs(self) -> list[float]:
        """The probability of each option; they sum to 1."""
        return [score.prob for score in self.scores.scores]

    @property
    def confidence(self) -> float:
        """The certainty of the answer."""
        if self.question.kind == "score":
            return score_confidence(self.probs)
        return choice_confidence(self.probs)

    @property
    def expected_level(self) -> float:
        """The mean of the levels, each weighted with its probability."""
        return sum(level * prob for level, prob in enumerate(self.probs))

    @property
    def logprobs(self) -> list[float | None] | None:
        """The log-probability of each option; None if the model's server does not show any."""
        if self.scores.method in UNSCORED_METHODS:
            return None
        return [to_json_number(score.logprob) for score in self.scores.scores]

    def extensions(self, names: Sequence[str] | None = None) -> dict[str, Any]:
        """Return the fields that neither protocol has.

        :param names: the names of the options, for log-probabilities by name; None for a list.
        """
        logprobs = self.logprobs
        by_name = None
        if logprobs is not None and names is not None:
            by_name = dict(zip(names, logprobs, strict=True))
        return {
            "x_logprob": by_name or logprobs,
            "x_label_mass": None if logprobs is None else label_mass(self.scores.scores),
            "x_exact": self.scores.exact,
            "x_reason": self.scores.reason,
            "x_norm": self.scores.norm,
        }


def label_mass(scores: Sequence[ChoiceScore]) -> float:
    """Return how much of the model's probability the options have together.

    An option that begins with another one is a part of what that one has, and does not count.

    :param scores: the scores of the options.
    """
    by_tokens = all(score.tokens for score in scores)
    texts: list[Any] = [score.tokens if by_tokens else score.choice for score in scores]
    known = set(texts)
    lengths = sorted(set(map(len, texts)))
    mass = math.fsum(
        math.exp(score.logprob)
        for score, text in zip(scores, texts, strict=True)
        if not any(text[:length] in known for length in lengths if length < len(text))
    )
    return min(1.0, mass)
