"""Backends that are broken, each in one way that authors do: sound ones but for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any, ClassVar

import numpy as np

from autocog_core import (
    BackendInfo,
    ChoiceRequest,
    ChoiceScores,
    Completion,
    CompletionRequest,
    TreeQuery,
    TreeScores,
)
from autocog_core.backends.random import RandomLM
from autocog_core.numerics import log_softmax
from autocog_core.prompts import encode
from autocog_core.tct import choose_many


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
        return choose_many(self.as_model().caller, [request])[0]


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
        return TreeScores(values, tokens, logprobs, len(values))

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
        prompt = encode(self.as_model().caller, request.prompt)
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
        return Completion(text, tuple(tokens), tuple(logprobs), finish, stop)


# Rows.


class OffByOne(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens[:-1] or tokens)


class PositiveSign(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return -super().greedy_impl(tokens)


class RawLogits(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return self.logits(tokens).astype(np.float32)


class Probabilities(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return np.exp(super().greedy_impl(tokens))


class BaseTwo(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens) / np.float32(np.log(2))


class Unnormalised(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        row = self.logits(tokens)
        return (row - row.max()).astype(np.float32)


class OverflowsHalf(Sound):
    """Adds up in float16: the sum overflows, and everything becomes -inf."""

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        with np.errstate(over="ignore"):
            logits = (self.logits(tokens) + 20).astype(np.float16)
            total = np.exp(logits).sum(dtype=np.float16)
            return (logits - np.log(total)).astype(np.float32)


class DoublePrecision(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens).astype(np.float64)


class TopTenOnly(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        row = super().greedy_impl(tokens)
        row[np.argsort(row)[:-10]] = -np.inf
        return row


class Nondeterministic(Sound):
    calls = count()

    def logits(self, tokens: Sequence[int]) -> Any:
        logits = super().logits(tokens)
        logits[next(self.calls) % len(logits)] += 3.0
        return logits


class SiblingsSeen(WithTrees):
    def seen(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return [*paths[parent], paths[0][-1]] if node else paths[parent]


class TreesOffByOne(WithTrees):
    def seen(self, paths: dict[int, list[int]], parent: int, node: int) -> list[int]:
        return paths[node]


class NoisyOffByOne(OffByOne):
    """Rounds otherwise each time, within its tolerance."""

    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), tolerance=1e-4)

    def logits(self, tokens: Sequence[int]) -> Any:
        logits = super().logits(tokens)
        generator = self.__dict__.setdefault("generator", np.random.default_rng(0))
        return logits + generator.uniform(-1e-5, 1e-5, len(logits))


class SortedBatches(WithTrees):
    """Evaluates from short to long, and answers in that order."""

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        return [self.tree(query) for query in sorted(queries, key=lambda each: len(each.prefix))]


# Tokens.


class BOSTwice(Sound):
    def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        found = super().tokenize_impl(texts, at_start, parse_special)
        return [[self.vocabulary.bos, *tokens] for tokens in found]


class BOSNever(Sound):
    """Takes BOS off again before it evaluates."""

    def logits(self, tokens: Sequence[int]) -> Any:
        own = [token for token in tokens if token != self.vocabulary.bos]
        return super().logits(own or tokens)


class BlankDropped(Sound):
    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        found = super().detokenize_impl(tokens)
        return found.removeprefix(b" ")


class Lowered(Sound):
    def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        return super().tokenize_impl([text.lower() for text in texts], at_start, parse_special)


class SpecialsParsed(Sound):
    def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        return super().tokenize_impl(texts, at_start, True)


# Choices.


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
        base = encode(model.caller, request.prompt)
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
                    exclusive=total,
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


class NormIgnored(Sound):
    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        return self.core_choose(replace(request, norm="logprob", end=None))


# Completions.


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


# Memory and manners.


class StaleCache(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        last, row = self.__dict__.get("cached", ((), None))
        if row is None or tuple(tokens) != last[: len(tokens)]:
            row = super().greedy_impl(tokens)
            self.cached = (tuple(tokens), row)
        return row


class SharedState(Sound):
    """Keeps what the last model of all was asked, and goes on from it."""

    asked: ClassVar[list[object]] = []

    def logits(self, tokens: Sequence[int]) -> Any:
        logits = super().logits(tokens)
        if self.asked and self.asked[-1] is not self:
            logits = np.roll(logits, 1)
        self.asked[:] = [self]
        return logits


class ShorterContext(Sound):
    """Says that it takes twice as much as it does."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"context_length": 256, **options})

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        if len(tokens) > 128:
            raise IndexError("index out of range in self")
        return super().greedy_impl(tokens)


class ChangingFingerprint(Sound):
    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), identify=lambda: str(id(self)))


class BufferHandedOut(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        row = super().greedy_impl(tokens)
        buffer = self.__dict__.setdefault("buffer", np.empty_like(row))
        buffer[:] = row
        return buffer


class OptionsIgnored(Writing):
    """`Writing` looks at no option that it does not know."""
