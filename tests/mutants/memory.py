"""State that is stale or shared."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, ClassVar

import numpy as np

from tests.mutants.sound import Sound


class RandomWeights(Sound):
    """Other weights with every load."""

    loads = count(100)

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "seed": next(self.loads)})


class SharedEngine(Sound):
    """One engine for all models, which the first to close frees."""

    engine: ClassVar[list[str]] = []

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.engine[:] = ["weights"]

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        assert self.engine[0]
        return super().greedy_impl(tokens)

    def close_impl(self) -> None:
        self.engine.clear()


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


class BufferHandedOut(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        row = super().greedy_impl(tokens)
        buffer = self.__dict__.setdefault("buffer", np.empty_like(row))
        buffer[:] = row
        return buffer
