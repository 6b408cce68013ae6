"""Completions that ignore a part of the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import BackendInfo, Completion, CompletionRequest
from autocog_core.scoring.prompt_encoding import encode_prompt
from tests.mutants.correct_models import CorrectCompletionLM, CorrectSamplingLM


class EmptyStopMatches(CorrectCompletionLM):
    """Searches an empty stop string too, if the request has none: it matches at once."""

    def make_completion(
        self,
        request: CompletionRequest,
        text: str,
        tokens: Sequence[int],
        logprobs: Sequence[float],
        stop: str | None,
    ) -> Completion:
        if not request.stop:
            return Completion(text="", tokens=(), logprobs=(), finish_reason="stop", stop_string="")
        return super().make_completion(request, text, tokens, logprobs, stop)


class StopsIgnored(CorrectCompletionLM):
    def complete_impl(self, request: CompletionRequest) -> Completion:
        return super().complete_impl(replace(request, stop=()))


class StopOnlyAsWholeToken(StopsIgnored):
    """Compares each token with the stop string, and misses stop strings across tokens."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        full = super().complete_impl(request)
        for index, token in enumerate(full.tokens):
            if self.vocabulary.surfaces[token].decode(errors="replace") in request.stop:
                text = self.vocabulary.detokenize(full.tokens[:index]).decode()
                tokens = full.tokens[: index + 1]
                return replace(full, text=text, tokens=tokens, finish_reason="stop")
        return full


class StopAppended(StopsIgnored):
    """Appends the stop string to the text, and its tokens, which the model did not write."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        full = super().complete_impl(request)
        if not request.stop:
            return full
        stop = request.stop[0]
        text = full.text.split(stop)[0]
        tokens = [*self.vocabulary.tokenize(text, False), *self.vocabulary.tokenize(stop, False)]
        return replace(
            full, text=text + stop, tokens=tuple(tokens), finish_reason="stop", stop_string=stop
        )


class StopMasked(StopsIgnored):
    """Keeps the model from writing the stop string, instead of ending there."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        full = super().complete_impl(request)
        if not request.stop:
            return full
        text = full.text.replace(request.stop[0], "")
        tokens = tuple(self.vocabulary.tokenize(text, False))
        return Completion(
            text=text, tokens=tokens, logprobs=(-1.0,) * len(tokens), finish_reason="length"
        )


class StopStreamed(CorrectCompletionLM):
    """Streams text that may still be the beginning of a stop string."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        completion = super().complete_impl(request)
        if request.on_text:
            full = super().complete_impl(replace(request, stop=()))
            request.on_text(full.text[: len(completion.text) + 1])
        return completion


class LogprobsNegated(CorrectCompletionLM):
    def greedy_tokens(self, request: CompletionRequest) -> tuple[list[int], list[float]]:
        tokens, logprobs = super().greedy_tokens(request)
        return tokens, [-value for value in logprobs]


class ScoresAfterTemperature(CorrectCompletionLM):
    def greedy_tokens(self, request: CompletionRequest) -> tuple[list[int], list[float]]:
        tokens, logprobs = super().greedy_tokens(request)
        return tokens, [value / 2 for value in logprobs]


class TopKIgnored(CorrectSamplingLM):
    def supported_request(self, request: CompletionRequest) -> CompletionRequest:
        return replace(request, top_k=0)


class TopPIgnored(CorrectSamplingLM):
    def supported_request(self, request: CompletionRequest) -> CompletionRequest:
        return replace(request, top_p=1.0)


class MinPIgnored(CorrectSamplingLM):
    def supported_request(self, request: CompletionRequest) -> CompletionRequest:
        return replace(request, min_p=0.0)


class SeedIgnored(CorrectSamplingLM):
    def generator(self, request: CompletionRequest, index: int) -> np.random.Generator:
        return np.random.default_rng()


class SeedFixed(CorrectSamplingLM):
    def generator(self, request: CompletionRequest, index: int) -> np.random.Generator:
        return np.random.default_rng(index)


class EOSIgnored(CorrectSamplingLM):
    """Continues after EOS, as with `ignore_eos`."""

    def eos_ids(self) -> tuple[int, ...]:
        return ()


class EOSUndeclared(CorrectSamplingLM):
    """Ends with EOS, but does not say which tokens these are."""

    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), eos=())


class EOSReportedAsLength(CorrectSamplingLM):
    def sample(self, prompt: list[int], request: CompletionRequest, index: int) -> Completion:
        sample = super().sample(prompt, request, index)
        return replace(sample, finish_reason="length") if sample.finish_reason == "eos" else sample


class EOSLeftOut(CorrectSamplingLM):
    """Does not return EOS, nor its log-probability."""

    def sample(self, prompt: list[int], request: CompletionRequest, index: int) -> Completion:
        sample = super().sample(prompt, request, index)
        if sample.finish_reason != "eos" or len(sample.tokens) == 1:
            return sample
        return replace(sample, tokens=sample.tokens[:-1], logprobs=(sample.logprobs or ())[:-1])


class ContextLimitIgnored(CorrectSamplingLM):
    """Gets the ids without the check that they fit the context."""

    def prompt_tokens(self, request: CompletionRequest) -> list[int]:
        return encode_prompt(self.as_model().client, request.prompt)


class ErrorChangesState(CorrectCompletionLM):
    """Returns other numbers after a completion that does not fit the context."""

    is_changed = False

    def complete_impl(self, request: CompletionRequest) -> Completion:
        self.is_changed = True
        self.prompt_tokens(request)
        self.is_changed = False
        return super().complete_impl(request)

    def logits(self, tokens: Sequence[int]) -> Any:
        return super().logits(tokens) * (0.5 if self.is_changed else 1.0)


class OptionsIgnored(CorrectCompletionLM):
    """Like its base class, ignores unknown options and the number of samples."""


class IdsOutsideVocabulary(CorrectCompletionLM):
    """Returns the ids of another tokenizer, with the right text."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        completion = super().complete_impl(request)
        return replace(completion, tokens=tuple(token + 100_000 for token in completion.tokens))


class LastLogprobLeftOut(CorrectCompletionLM):
    def complete_impl(self, request: CompletionRequest) -> Completion:
        completion = super().complete_impl(request)
        return replace(completion, logprobs=(completion.logprobs or ())[:-1])


class TextInCapitals(CorrectCompletionLM):
    def complete_impl(self, request: CompletionRequest) -> Completion:
        completion = super().complete_impl(request)
        return replace(completion, text=completion.text.upper())
