"""Completions that do not honour their request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autocog_core import (
    Completion,
    CompletionRequest,
)
from autocog_core.scoring.prompt_encoding import encode
from testing.broken.sound import Sampling, Writing


class EmptyStop(Writing):
    def told(
        self,
        request: CompletionRequest,
        text: str,
        tokens: Sequence[int],
        logprobs: Sequence[float],
        stop: str | None,
    ) -> Completion:
        # As an empty string among the stops would: it is found at once.
        if not request.stop:
            return Completion("", (), (), "stop", "")
        return super().told(request, text, tokens, logprobs, stop)


class StopsIgnored(Writing):
    def complete_impl(self, request: CompletionRequest) -> Completion:
        return super().complete_impl(replace(request, stop=()))


class ScoresAfterTemperature(Writing):
    def written(self, request: CompletionRequest) -> tuple[list[int], list[float]]:
        tokens, logprobs = super().written(request)
        return tokens, [value / 2 for value in logprobs]


class TopKIgnored(Sampling):
    def honoured(self, request: CompletionRequest) -> CompletionRequest:
        return replace(request, top_k=0)


class TopPIgnored(Sampling):
    def honoured(self, request: CompletionRequest) -> CompletionRequest:
        return replace(request, top_p=1.0)


class MinPIgnored(Sampling):
    def honoured(self, request: CompletionRequest) -> CompletionRequest:
        return replace(request, min_p=0.0)


class SeedIgnored(Sampling):
    def generator(self, request: CompletionRequest, number: int) -> np.random.Generator:
        return np.random.default_rng()


class SeedFixed(Sampling):
    def generator(self, request: CompletionRequest, number: int) -> np.random.Generator:
        return np.random.default_rng(number)


class WritesOn(Sampling):
    """Goes on after EOS, as with `ignore_eos`."""

    def ends(self) -> tuple[int, ...]:
        return ()


class EndCalledLength(Sampling):
    def sample(self, prompt: list[int], request: CompletionRequest, number: int) -> Completion:
        found = super().sample(prompt, request, number)
        return replace(found, finish="length") if found.finish == "eos" else found


class EndLeftOut(Sampling):
    """Keeps EOS to itself, with the log-probability of it."""

    def sample(self, prompt: list[int], request: CompletionRequest, number: int) -> Completion:
        found = super().sample(prompt, request, number)
        if found.finish != "eos" or len(found.tokens) == 1:
            return found
        return replace(found, tokens=found.tokens[:-1], logprobs=(found.logprobs or ())[:-1])


class TooLongTaken(Sampling):
    """Writes beyond its context: it makes the ids by other means."""

    def prompt_tokens(self, request: CompletionRequest) -> list[int]:
        return encode(self.as_model().caller, request.prompt)
