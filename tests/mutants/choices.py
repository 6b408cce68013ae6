"""Choices that are lost, tokenized apart from the prompt, or scored wrongly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autocog_core import ChoiceRequest, ChoiceScores
from autocog_core.scoring.prompt_encoding import encode_prompt
from tests.mutants.correct_models import CorrectLM


class LeavesOnly(CorrectLM):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        result = self.core_choose(request)
        tokens = [score.tokens for score in result.scores]
        leaves = tuple(
            score
            for score in result.scores
            if not any(t != score.tokens and t[: len(score.tokens)] == score.tokens for t in tokens)
        )
        return replace(result, scores=leaves, index=0)


class MeanInsteadOfSum(CorrectLM):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        result = self.core_choose(request)
        means = [replace(s, logprob=s.logprob / len(s.tokens)) for s in result.scores]
        return replace(result, scores=tuple(means))


class TokenizedApart(CorrectLM):
    """Appends the tokens of each choice alone to those of the prompt."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        model = self.as_model()
        base = encode_prompt(model.client, request.prompt)
        scores = []
        for score in self.core_choose(request).scores:
            tokens = model.tokenize(score.choice, at_start=False)
            logprobs = [
                float(self.greedy_impl([*base, *tokens[:index]])[token])
                for index, token in enumerate(tokens)
            ]
            total = sum(logprobs)
            scores.append(
                replace(
                    score,
                    tokens=tuple(tokens),
                    token_logprobs=tuple(logprobs),
                    logprob=total,
                    exclusive_logprob=total,
                )
            )
        result = self.core_choose(request)
        return replace(result, scores=tuple(scores), boundary="clean", healed_text="")


class UnlikeliestChosen(CorrectLM):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        result = self.core_choose(request)
        probs = [score.prob for score in result.scores]
        return replace(result, index=probs.index(min(probs)))


class HalvedAmongOthers(CorrectLM):
    """Halves the scores, unless there is only one choice."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        result = self.core_choose(request)
        if len(result.scores) == 1:
            return result
        halves = ([value / 2 for value in score.token_logprobs] for score in result.scores)
        return replace(
            result,
            scores=tuple(
                replace(score, token_logprobs=tuple(half), logprob=sum(half))
                for score, half in zip(result.scores, halves, strict=True)
            ),
        )


class CaseFoldedLookup(CorrectLM):
    """Looks scores up by the text of the choice, stripped and in lower case."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        result = self.core_choose(request)
        by_text = {score.choice.strip().lower(): score for score in result.scores}
        scores = (replace(by_text[c.strip().lower()], choice=c) for c in request.choices)
        return replace(result, scores=tuple(scores))


class NormIgnored(CorrectLM):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        return self.core_choose(replace(request, norm="sum", suffix=None))


class StrippedLookup(CorrectLM):
    """Looks scores up by the text of the choice, stripped."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        result = self.core_choose(request)
        by_text = {score.choice.strip(): score for score in result.scores}
        scores = (replace(by_text[c.strip()], choice=c) for c in request.choices)
        return replace(result, scores=tuple(scores))


class ChoicesStripped(CorrectLM):
    """Scores choices without the blanks around them."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        stripped = replace(request, choices=tuple(choice.strip() for choice in request.choices))
        result = self.core_choose(stripped)
        scores = zip(result.scores, request.choices, strict=True)
        return replace(result, scores=tuple(replace(s, choice=c) for s, c in scores))


class FirstTokenDropped(CorrectLM):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        result = self.core_choose(request)
        scores = tuple(
            replace(s, token_logprobs=s.token_logprobs[1:], logprob=sum(s.token_logprobs[1:]))
            for s in result.scores
        )
        return replace(result, scores=scores)


class ScoresNegated(CorrectLM):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        result = self.core_choose(request)
        return replace(result, scores=tuple(replace(s, logprob=-s.logprob) for s in result.scores))


class ProbabilitiesMultiplied(CorrectLM):
    """Normalizes products of probabilities, which underflow to 0 for long choices."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        result = self.core_choose(request)
        with np.errstate(invalid="ignore", divide="ignore"):
            probs = np.exp([sum(score.token_logprobs) for score in result.scores])
            probs = probs / probs.sum()
        scores = zip(result.scores, probs.tolist(), strict=True)
        return replace(result, scores=tuple(replace(s, prob=p) for s, p in scores))


class SortedByScore(CorrectLM):
    """Returns the best choice first, not in the order of the request."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        result = self.core_choose(request)
        best = sorted(result.scores, key=lambda score: -score.logprob)
        return replace(result, scores=tuple(best), index=0)
