"""Backends that only choose, with one mistake each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import ChoiceRequest, ChoiceScores, hookimpl
from autocog_core.scoring.top_choices import best_of_scores
from tests.mutants.correct_models import Chooser


class LastChoiceLeftOut(Chooser):
    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> ChoiceScores:
        return replace(result, scores=result.scores[:-1], index=0)


class SortedAnswer(Chooser):
    """Returns the best choice first, not in the order of the request."""

    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> ChoiceScores:
        best = sorted(result.scores, key=lambda score: -score.logprob)
        return replace(result, scores=tuple(best), index=0)


class ProbabilityOfThree(Chooser):
    """Returns odds as probabilities."""

    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> ChoiceScores:
        scores = [replace(score, prob=3.0 + score.prob) for score in result.scores]
        return replace(result, scores=tuple(scores))


class NegativeProbability(Chooser):
    """Returns probabilities that sum to 1, though one is negative and one above 1."""

    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> ChoiceScores:
        first, second, *others = result.scores
        moved = (replace(first, prob=first.prob + 2), replace(second, prob=second.prob - 2))
        return replace(result, scores=(*moved, *others), index=0)


class ExactWithoutTokens(Chooser):
    """Calls probabilities of its own exact, though the model decided no token."""

    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> ChoiceScores:
        scores = [replace(score, tokens=(), token_logprobs=()) for score in result.scores]
        return replace(result, scores=tuple(scores))


class InexactWithoutReason(Chooser):
    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> ChoiceScores:
        return replace(result, exact=False)


class TokensOfAnotherVocabulary(Chooser):
    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> ChoiceScores:
        scores = [
            replace(score, tokens=tuple(token + 100_000 for token in score.tokens))
            for score in result.scores
        ]
        return replace(result, scores=tuple(scores))


class MarginOfAnother(Chooser):
    """Computes the margin of the likeliest choice, but returns another one."""

    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> ChoiceScores:
        return replace(result, margin=1.0)


class SuffixIgnored(Chooser):
    def answer(self, request: ChoiceRequest) -> ChoiceScores:
        return super().answer(replace(request, suffix=None))


class NormOnlyNamed(Chooser):
    """Names the requested norm, but ranks by the sum."""

    def answer(self, request: ChoiceRequest) -> ChoiceScores:
        return replace(super().answer(replace(request, norm="sum")), norm=request.norm)


class InexactNormIgnored(Chooser):
    def answer(self, request: ChoiceRequest) -> ChoiceScores:
        result = super().answer(replace(request, norm="sum"))
        return replace(result, exact=False, reason="a bound")


class ScoresByPosition(Chooser):
    """Keeps the scores of a prompt by the index of the choice."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[Any, ChoiceScores] = {}

    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> ChoiceScores:
        key = (request.prompt, len(request.choices), request.norm, request.suffix)
        kept = self.kept.setdefault(key, result)
        scores = zip(request.choices, kept.scores, strict=True)
        return replace(kept, scores=tuple(replace(s, choice=c) for c, s in scores))


class InexactByPosition(ScoresByPosition):
    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> ChoiceScores:
        return replace(super().changed(request, result), exact=False, reason="a bound")


class AnswersAtRandom(Chooser):
    """Draws new probabilities in each call."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = np.random.default_rng(0)

    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> ChoiceScores:
        probs = self.generator.dirichlet(np.ones(len(result.scores))).tolist()
        scores = tuple(
            replace(score, tokens=(), token_logprobs=(), prob=prob, logprob=float(np.log(prob)))
            for score, prob in zip(result.scores, probs, strict=True)
        )
        ordered = sorted(probs)
        return replace(
            result,
            scores=scores,
            index=int(np.argmax(probs)),
            exact=False,
            reason="drawn",
            entropy=float(-sum(p * np.log(p) for p in probs)),
            margin=ordered[-1] - ordered[-2],
        )


class FirstIsBest(Chooser):
    """Takes the first choices for the best ones."""

    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> Any:
        if request.top is None:
            return result
        ranked = best_of_scores(result, replace(request.top, top=len(result.scores)))
        first = tuple(choice for choice in ranked.top if choice.index < request.top.top)
        bounds = [min(bound, first[-1].score) for bound in ranked.score_bounds]
        for choice in first:
            bounds[choice.index] = choice.score
        return replace(ranked, top=first, score_bounds=tuple(bounds))


class BatchInAnotherOrder(Chooser):
    """Answers several requests at once, the last one first."""

    @hookimpl
    def choose_many(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceScores]:
        return [self.choose(request) for request in requests][::-1]
