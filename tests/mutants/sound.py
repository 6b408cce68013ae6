"""Sound models, of which broken ones are made: each is wrong in one way that authors are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import (
    ChoiceRequest,
    ChoiceScores,
    Completion,
    CompletionRequest,
    TreeQuery,
    TreeScores,
)
from autocog_core.backends.random import RandomLM
from autocog_core.numerics import log_softmax
from autocog_core.scoring.choice_tree import choose_many
from autocog_core.scoring.prompt_encoding import encode_prompt
from autocog_core.toolkit.completion_builder import CompletionBuilder
from autocog_core.toolkit.engine_options import reject_unknown_options
from autocog_core.toolkit.sampling import sample_token


class Sound(RandomLM):
    """A sound model; greedily it says letters, so that completions are text."""

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


class WithTrees(Sound):
    """Scores token trees itself."""

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        return [self.tree(query) for query in queries]

    def tree(self, query: TreeQuery) -> TreeScores:
        paths: dict[int, list[int]] = {-1: list(query.prefix)}
        values = np.zeros(len(query.tokens))
        for node, parent in enumerate(query.parents.tolist()):
            token = int(query.tokens[node])
            paths[node] = [*paths[parent], token]
            values[node] = self.greedy_impl(self.seen(paths, parent, node))[token]
        tops = [self.top(self.greedy_impl(paths[node]), query) for node in query.top_at.tolist()]
        shape = (len(tops), query.top_k)
        tokens = np.array([top[0] for top in tops], dtype=np.int32).reshape(shape)
        logprobs = np.array([top[1] for top in tops], dtype=np.float64).reshape(shape)
        return TreeScores(
            values=values, top_tokens=tokens, top_logprobs=logprobs, tokens_evaluated=len(values)
        )

    def seen(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        """What is before a node."""
        return paths[parent]

    def top(self, row: Any, query: TreeQuery) -> tuple[list[int], list[float]]:
        kept = row if query.mask is None else np.where(query.mask, row, -np.inf)
        best = np.argsort(-kept, kind="stable")[: query.top_k]
        return best.tolist(), kept[best].tolist()


class Writing(Sound):
    """Completes by itself, and well."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        tokens, logprobs = self.written(request)
        text = self.vocabulary.detokenize(tokens).decode("utf-8", errors="replace")
        for end in range(1, len(tokens) + 1):
            said = self.vocabulary.detokenize(tokens[:end]).decode("utf-8", errors="replace")
            for stop in request.stop:
                if stop in said:
                    kept = said[: said.find(stop)]
                    return self.told(request, kept, tokens[:end], logprobs[:end], stop)
        return self.told(request, text, tokens, logprobs, None)

    def written(self, request: CompletionRequest) -> tuple[list[int], list[float]]:
        prompt = encode_prompt(self.as_model().client, request.prompt)
        tokens: list[int] = []
        logprobs: list[float] = []
        for _ in range(request.max_tokens):
            row = self.greedy_impl([*prompt, *tokens])
            tokens.append(int(row.argmax()))
            logprobs.append(float(row.max()))
        return tokens, logprobs

    def told(
        self,
        request: CompletionRequest,
        text: str,
        tokens: Sequence[int],
        logprobs: Sequence[float],
        stop: str | None,
    ) -> Completion:
        finish: Any = "length" if stop is None else "stop"
        return Completion(
            text=text,
            tokens=tuple(tokens),
            logprobs=tuple(logprobs),
            finish_reason=finish,
            stop_string=stop,
        )


class Sampling(Sound):
    """Completes by itself, and samples well; it ends where a sequence has 40 tokens."""

    def logits(self, tokens: Sequence[int]) -> Any:
        logits = super().logits(tokens)
        logits[self.vocabulary.eos] += 0.0 if len(tokens) % 40 else 30.0
        return logits

    def complete_impl(self, request: CompletionRequest) -> Completion:
        reject_unknown_options(request.extra, (), "sampling")
        prompt = self.prompt_tokens(request)
        first, *others = (self.sample(prompt, request, number) for number in range(request.n))
        return replace(first, alternatives=tuple(others))

    def sample(self, prompt: list[int], request: CompletionRequest, number: int) -> Completion:
        generator = self.generator(request, number)
        growing = CompletionBuilder(request, self.detokenize_impl, self.ends(), number)
        while not growing.is_done:
            row = self.greedy_impl([*prompt, *growing.tokens])
            token = sample_token(row, self.honoured(request), generator)
            growing.append(token, float(row[token]))
        return growing.completion()

    def ends(self) -> tuple[int, ...]:
        return (self.vocabulary.eos,)

    def honoured(self, request: CompletionRequest) -> CompletionRequest:
        return request

    def generator(self, request: CompletionRequest, number: int) -> np.random.Generator:
        return np.random.default_rng(None if request.seed is None else [request.seed, number])
