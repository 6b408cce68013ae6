"""Long sequences of which a part is cut off, or for which there is no room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.mutants.sound import Sound


class BeginningCut(Sound):
    """Keeps the last half of what it says that it takes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"context_length": 256, **options})

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(self.kept(tokens))

    def kept(self, tokens: Sequence[int]) -> Sequence[int]:
        return tokens[-128:]


class ContextShifted(BeginningCut):
    """When it is full it keeps BOS and the last quarter, and goes on."""

    def kept(self, tokens: Sequence[int]) -> Sequence[int]:
        return tokens if len(tokens) <= 200 else [tokens[0], *tokens[-64:]]


class EndCut(BeginningCut):
    def kept(self, tokens: Sequence[int]) -> Sequence[int]:
        return tokens[:128]


class ShorterContext(Sound):
    """Says that it takes twice as much as it does."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"context_length": 256, **options})

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        if len(tokens) > 128:
            raise IndexError("index out of range in self")
        return super().greedy_impl(tokens)
