"""Choices that are lost, tokenized apart, or given other scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autocog_core import (
    ChoiceRequest,
    ChoiceScores,
)
from autocog_core.scoring.prompt_encoding import encode_prompt
from tests.mutants.sound import Sound


class LeavesOnly(Sound):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        tokens = [score.tokens for score in found.scores]
        leaves = tuple(
            score
            for score in found.scores
            if not any(t != score.tokens and t[: len(score.tokens)] == score.tokens for t in tokens)
        )
        return replace(found, scores=leaves, index=0)


class MeanAsSum(Sound):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        scores = (replace(one, logprob=one.logprob / len(one.tokens)) for one in found.scores)
        return replace(found, scores=tuple(scores))


class TokenizedApart(Sound):
    """Puts the choice's own tokens after those of the prompt."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        model = self.as_model()
        base = encode_prompt(model.client, request.prompt)
        scores = []
        for score in self.core_choose(request).scores:
            tokens = model.tokenize(score.choice, at_start=False)
            before = [[*base, *tokens[:end]] for end in range(len(tokens))]
            values = [
                float(self.greedy_impl(each)[token])
                for each, token in zip(before, tokens, strict=True)
            ]
            total = sum(values)
            scores.append(
                replace(
                    score,
                    tokens=tuple(tokens),
                    token_logprobs=tuple(values),
                    logprob=total,
                    exclusive_logprob=total,
                )
            )
        found = self.core_choose(request)
        return replace(found, scores=tuple(scores), boundary="clean", healed_text="")


class LastChosen(Sound):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        return replace(
            found, index=min(range(len(found.scores)), key=lambda n: found.scores[n].prob)
        )


class Halved(Sound):
    """Of choices that come together, each gets half its score: its own, and no other's."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        if len(found.scores) == 1:
            return found
        halves = ([value / 2 for value in score.token_logprobs] for score in found.scores)
        return replace(
            found,
            scores=tuple(
                replace(score, token_logprobs=tuple(half), logprob=sum(half))
                for score, half in zip(found.scores, halves, strict=True)
            ),
        )


class Folded(Sound):
    """Looks scores up by what a choice says, without blanks and in small letters."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        by_text = {score.choice.strip().lower(): score for score in found.scores}
        scores = (replace(by_text[one.strip().lower()], choice=one) for one in request.choices)
        return replace(found, scores=tuple(scores))


class NormIgnored(Sound):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        return self.core_choose(replace(request, norm="sum", suffix=None))


class Stripped(Sound):
    """Looks scores up by what a choice says, without the blanks around it."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        by_text = {score.choice.strip(): score for score in found.scores}
        scores = (replace(by_text[one.strip()], choice=one) for one in request.choices)
        return replace(found, scores=tuple(scores))


class BlankLost(Sound):
    """Scores choices without the blanks around them."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        bare = replace(request, choices=tuple(choice.strip() for choice in request.choices))
        found = self.core_choose(bare)
        scores = zip(found.scores, request.choices, strict=True)
        return replace(found, scores=tuple(replace(s, choice=c) for s, c in scores))


class FirstTokenDropped(Sound):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        scores = tuple(
            replace(s, token_logprobs=s.token_logprobs[1:], logprob=sum(s.token_logprobs[1:]))
            for s in found.scores
        )
        return replace(found, scores=scores)


class PositiveScores(Sound):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        return replace(found, scores=tuple(replace(s, logprob=-s.logprob) for s in found.scores))


class Products(Sound):
    """Normalizes products of probabilities, which are 0 for long choices."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = np.exp([sum(score.token_logprobs) for score in found.scores])
            shares = shares / shares.sum()
        scores = zip(found.scores, shares.tolist(), strict=True)
        return replace(found, scores=tuple(replace(s, prob=p) for s, p in scores))


class SortedByScore(Sound):
    """Answers with the best choice first, whatever the order of the request."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        found = self.core_choose(request)
        best = sorted(found.scores, key=lambda score: -score.logprob)
        return replace(found, scores=tuple(best), index=0)
