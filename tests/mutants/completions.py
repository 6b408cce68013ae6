"""Completions that do not honour their request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import (
    Completion,
    CompletionRequest,
)
from autocog_core.scoring.prompt_encoding import encode_prompt
from tests.mutants.sound import Sampling, Writing


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
            return Completion(text="", tokens=(), logprobs=(), finish_reason="stop", stop_string="")
        return super().told(request, text, tokens, logprobs, stop)


class StopsIgnored(Writing):
    def complete_impl(self, request: CompletionRequest) -> Completion:
        return super().complete_impl(replace(request, stop=()))


class StopOnlyAsWholeToken(StopsIgnored):
    """Compares each token with the stop string: one that spans tokens is never found."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        free = super().complete_impl(request)
        for i, token in enumerate(free.tokens):
            if self.vocabulary.surfaces[token].decode(errors="replace") in request.stop:
                text = self.vocabulary.detokenize(free.tokens[:i]).decode()
                return replace(free, text=text, tokens=free.tokens[: i + 1], finish_reason="stop")
        return free


class StopMadeUp(StopsIgnored):
    """Appends the stop string wherever the text ends."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        free = super().complete_impl(request)
        if not request.stop:
            return free
        stop = request.stop[0]
        kept = free.text.split(stop)[0]
        tokens = [*self.vocabulary.tokenize(kept, False), *self.vocabulary.tokenize(stop, False)]
        return replace(
            free, text=kept + stop, tokens=tuple(tokens), finish_reason="stop", stop=stop
        )


class StopForbidden(StopsIgnored):
    """Never writes the stop string, rather than end there."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        free = super().complete_impl(request)
        if not request.stop:
            return free
        text = free.text.replace(request.stop[0], "")
        tokens = tuple(self.vocabulary.tokenize(text, False))
        return Completion(
            text=text, tokens=tokens, logprobs=(-1.0,) * len(tokens), finish_reason="length"
        )


class Hasty(Writing):
    """Streams text that may yet turn out to belong to a stop string."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        found = super().complete_impl(request)
        if request.on_text:
            whole = super().complete_impl(replace(request, stop=()))
            request.on_text(whole.text[: len(found.text) + 1])
        return found


class PositiveLogprobs(Writing):
    def written(self, request: CompletionRequest) -> tuple[list[int], list[float]]:
        tokens, logprobs = super().written(request)
        return tokens, [-value for value in logprobs]


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
        return replace(found, finish_reason="length") if found.finish_reason == "eos" else found


class EndLeftOut(Sampling):
    """Keeps EOS to itself, with the log-probability of it."""

    def sample(self, prompt: list[int], request: CompletionRequest, number: int) -> Completion:
        found = super().sample(prompt, request, number)
        if found.finish_reason != "eos" or len(found.tokens) == 1:
            return found
        return replace(found, tokens=found.tokens[:-1], logprobs=(found.logprobs or ())[:-1])


class TooLongTaken(Sampling):
    """Writes beyond its context: it makes the ids by other means."""

    def prompt_tokens(self, request: CompletionRequest) -> list[int]:
        return encode_prompt(self.as_model().client, request.prompt)


class Upset(Writing):
    """A completion that does not fit leaves it in another state."""

    upset = False

    def complete_impl(self, request: CompletionRequest) -> Completion:
        self.upset = True
        self.prompt_tokens(request)
        self.upset = False
        return super().complete_impl(request)

    def logits(self, tokens: Sequence[int]) -> Any:
        return super().logits(tokens) * (0.5 if self.upset else 1.0)


class OptionsIgnored(Writing):
    """`Writing` looks at no option that it does not know, nor at how many samples are wanted."""
