"""Long sequences that are truncated, or that do not fit the declared context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from autocog_core import BackendInfo
from tests.mutants.correct_models import CorrectLM


class BeginningTruncated(CorrectLM):
    """Evaluates only the last half of the declared context."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"context_length": 256, **options})

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(self.truncate(tokens))

    def truncate(self, tokens: Sequence[int]) -> Sequence[int]:
        return tokens[-128:]


class UndeclaredTruncated(BeginningTruncated):
    """Evaluates only the last 128 tokens, and declares no context."""

    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), context_length=None)


class LongTruncated(BeginningTruncated):
    """Evaluates only the first 512 tokens of a context that is longer than what the laws fill."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"context_length": 100_000, **options})

    def truncate(self, tokens: Sequence[int]) -> Sequence[int]:
        return tokens[:512]


class ContextShifted(BeginningTruncated):
    """Keeps only BOS and the last quarter once the context is almost full."""

    def truncate(self, tokens: Sequence[int]) -> Sequence[int]:
        return tokens if len(tokens) <= 200 else [tokens[0], *tokens[-64:]]


class EndTruncated(BeginningTruncated):
    def truncate(self, tokens: Sequence[int]) -> Sequence[int]:
        return tokens[:128]


class ContextOverstated(CorrectLM):
    """Declares twice the context that it accepts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"context_length": 256, **options})

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        if len(tokens) > 128:
            raise IndexError("index out of range in self")
        return super().greedy_impl(tokens)


class LongContextOverstated(CorrectLM):
    """Declares twice the context that it accepts, and that is more than the laws fill."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"context_length": 8192, **options})

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        if len(tokens) > 4096:
            raise IndexError("index out of range in self")
        return super().greedy_impl(tokens)
