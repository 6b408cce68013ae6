"""State that is stale, or shared between models."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from autocog_core import TreeQuery, TreeScores
from tests.mutants.correct_models import CorrectLM, CorrectTreeLM


class RandomWeights(CorrectLM):
    """Has other weights after every load."""

    loads = count(100)

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "seed": next(self.loads)})


class SharedEngine(CorrectLM):
    """Shares an engine between all models; the first `close` frees it."""

    engine: ClassVar[list[str]] = []

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.engine[:] = ["weights"]

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        assert self.engine[0]
        return super().greedy_impl(tokens)

    def close_impl(self) -> None:
        self.engine.clear()


class LockOfItsOwn(CorrectLM):
    """Shares an engine, but each model has a lock of its own, which the engine does not know."""

    def __init__(self, engine: object = None, **options: Any) -> None:
        super().__init__(**options)
        self.engine = engine or SimpleNamespace()
        self.lock = threading.RLock()


class StaleCache(CorrectLM):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        last, row = self.__dict__.get("cached", ((), None))
        if row is None or tuple(tokens) != last[: len(tokens)]:
            row = super().greedy_impl(tokens)
            self.cached = (tuple(tokens), row)
        return row


class HistoryInLastBits(CorrectTreeLM):
    """Says that it isolates, and rounds with every call another way."""

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        self.calls = self.__dict__.get("calls", 0) + 1
        return [
            replace(scores, values=scores.values - 1e-9 * self.calls)
            for scores in super().greedy_tree_impl(queries)
        ]


class CompanyInLastBits(CorrectTreeLM):
    """Says that it isolates, and rounds with more queries another way."""

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        return [
            replace(scores, values=scores.values - 1e-9 * len(queries))
            for scores in super().greedy_tree_impl(queries)
        ]


class SharedState(CorrectLM):
    """Stores in the class which model was called last, and depends on it."""

    last_called: ClassVar[list[object]] = []

    def logits(self, tokens: Sequence[int]) -> Any:
        logits = super().logits(tokens)
        if self.last_called and self.last_called[-1] is not self:
            logits = np.roll(logits, 1)
        self.last_called[:] = [self]
        return logits


class BufferReturned(CorrectLM):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        row = super().greedy_impl(tokens)
        buffer = self.__dict__.setdefault("buffer", np.empty_like(row))
        buffer[:] = row
        return buffer
