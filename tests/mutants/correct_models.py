"""Correct models, which the mutants subclass to make one mistake each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import (
    BackendInfo,
    CapabilityError,
    ChoiceRequest,
    ChoiceScores,
    Completion,
    CompletionRequest,
    TreeQuery,
    TreeScores,
    hookimpl,
)
from autocog_core.backends.random import RandomLM
from autocog_core.hooks.specs import CONTRACT_VERSION
from autocog_core.numerics import log_softmax
from autocog_core.scoring.choice_tree import choose_many
from autocog_core.scoring.prompt_encoding import encode_prompt
from autocog_core.toolkit.completion_builder import CompletionBuilder
from autocog_core.toolkit.engine_options import reject_unknown_options
from autocog_core.toolkit.sampling import sample_token


class CorrectLM(RandomLM):
    """A model that passes all laws; its greedy completions are letters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"vocabulary": "merges", "seed": 5, "context_length": 2048, **options})

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return log_softmax(self.logits(tokens))

    def logits(self, tokens: Sequence[int]) -> Any:
        logits = super().greedy_impl(tokens).astype(np.float64)
        logits[97:123] += 12.0
        return logits

    def core_choose(self, request: ChoiceRequest) -> ChoiceScores:
        return choose_many(self.as_model().client, [request])[0]


class CorrectTreeLM(CorrectLM):
    """Scores token trees itself."""

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        return [self.tree(query) for query in queries]

    def tree(self, query: TreeQuery) -> TreeScores:
        paths: dict[int, list[int]] = {-1: list(query.prefix)}
        values = np.zeros(len(query.tokens))
        for node, parent in enumerate(query.parents.tolist()):
            token = int(query.tokens[node])
            paths[node] = [*paths[parent], token]
            values[node] = self.greedy_impl(self.context_of(paths, parent, node))[token]
        tops = [self.top_k(self.greedy_impl(paths[node]), query) for node in query.top_at.tolist()]
        shape = (len(tops), query.top_k)
        tokens = np.array([top[0] for top in tops], dtype=np.int32).reshape(shape)
        logprobs = np.array([top[1] for top in tops], dtype=np.float64).reshape(shape)
        return TreeScores(
            values=values, top_tokens=tokens, top_logprobs=logprobs, tokens_evaluated=len(values)
        )

    def context_of(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        """Return the tokens before a node."""
        return paths[parent]

    def top_k(self, row: Any, query: TreeQuery) -> tuple[list[int], list[float]]:
        allowed = row if query.mask is None else np.where(query.mask, row, -np.inf)
        best = np.argsort(-allowed, kind="stable")[: query.top_k]
        return best.tolist(), allowed[best].tolist()


class ChangedTreeLM(CorrectTreeLM):
    """Lets a subclass change the right scores of a tree."""

    def tree(self, query: TreeQuery) -> TreeScores:
        scores = super().tree(query)
        return replace(scores, values=self.changed(query, scores.values.copy()))

    def changed(self, query: TreeQuery, values: Any) -> Any:
        return values


class ChangedTopLM(CorrectTreeLM):
    """Lets a subclass change the likeliest tokens."""

    def tree(self, query: TreeQuery) -> TreeScores:
        scores = super().tree(query)
        return self.changed(query, scores) if len(query.top_at) else scores

    def changed(self, query: TreeQuery, scores: TreeScores) -> TreeScores:
        return scores


class Chooser:
    """Has the hooks `choose` and `describe` alone; lets a subclass change the right scores."""

    contract = CONTRACT_VERSION

    def __init__(self) -> None:
        self._inner = CorrectLM()

    @hookimpl
    def describe(self) -> BackendInfo:
        info = self._inner.describe_impl()
        return BackendInfo(
            name="only chooses",
            vocabulary_size=info.vocabulary_size,
            compute_fingerprint=lambda: "only chooses",
        )

    @hookimpl
    def choose(self, request: ChoiceRequest) -> ChoiceScores:
        return self.changed(request, self.answer(request))

    def answer(self, request: ChoiceRequest) -> ChoiceScores:
        return self._inner.core_choose(request)

    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> ChoiceScores:
        return result


class InexactChooser(Chooser):
    """Returns probabilities without tokens, and ignores neither norm nor suffix."""

    def answer(self, request: ChoiceRequest) -> ChoiceScores:
        if request.norm != "sum" or request.suffix is not None:
            raise CapabilityError("there are no tokens", where="only chooses")
        return super().answer(request)

    def changed(self, request: ChoiceRequest, result: ChoiceScores) -> ChoiceScores:
        scores = [replace(score, tokens=(), token_logprobs=()) for score in result.scores]
        return replace(result, scores=tuple(scores), exact=False, reason="no log-probabilities")


class CorrectCompletionLM(CorrectLM):
    """Has its own `complete`, which is greedy."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        tokens, logprobs = self.greedy_tokens(request)
        text = self.vocabulary.detokenize(tokens).decode("utf-8", errors="replace")
        for end in range(1, len(tokens) + 1):
            prefix = self.vocabulary.detokenize(tokens[:end]).decode("utf-8", errors="replace")
            for stop in request.stop:
                if stop in prefix:
                    before = prefix[: prefix.find(stop)]
                    return self.make_completion(request, before, tokens[:end], logprobs[:end], stop)
        return self.make_completion(request, text, tokens, logprobs, None)

    def greedy_tokens(self, request: CompletionRequest) -> tuple[list[int], list[float]]:
        prompt = encode_prompt(self.as_model().client, request.prompt)
        tokens: list[int] = []
        logprobs: list[float] = []
        for _ in range(request.max_tokens):
            row = self.greedy_impl([*prompt, *tokens])
            tokens.append(int(row.argmax()))
            logprobs.append(float(row.max()))
        return tokens, logprobs

    def make_completion(
        self,
        request: CompletionRequest,
        text: str,
        tokens: Sequence[int],
        logprobs: Sequence[float],
        stop: str | None,
    ) -> Completion:
        return Completion(
            text=text,
            tokens=tuple(tokens),
            logprobs=tuple(logprobs),
            finish_reason="length" if stop is None else "stop",
            stop_string=stop,
        )


class CorrectSamplingLM(CorrectLM):
    """Has its own `complete`, which samples; sequences end at multiples of 40 tokens."""

    def logits(self, tokens: Sequence[int]) -> Any:
        logits = super().logits(tokens)
        logits[self.vocabulary.eos] += 0.0 if len(tokens) % 40 else 30.0
        return logits

    def complete_impl(self, request: CompletionRequest) -> Completion:
        reject_unknown_options(request.extra, (), "sampling")
        prompt = self.prompt_tokens(request)
        first, *others = (self.sample(prompt, request, index) for index in range(request.n))
        return replace(first, alternatives=tuple(others))

    def sample(self, prompt: list[int], request: CompletionRequest, index: int) -> Completion:
        generator = self.generator(request, index)
        builder = CompletionBuilder(request, self.detokenize_impl, self.eos_ids(), index)
        while not builder.is_done:
            row = self.greedy_impl([*prompt, *builder.tokens])
            token = sample_token(row, self.supported_request(request), generator)
            builder.append(token, float(row[token]))
        return builder.completion()

    def eos_ids(self) -> tuple[int, ...]:
        return (self.vocabulary.eos,)

    def supported_request(self, request: CompletionRequest) -> CompletionRequest:
        return request

    def generator(self, request: CompletionRequest, index: int) -> np.random.Generator:
        return np.random.default_rng(None if request.seed is None else [request.seed, index])
