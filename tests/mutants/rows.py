"""Rows that are not distributions, belong to other tokens, or change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from autocog_core import BackendInfo
from tests.mutants.correct_models import CorrectLM


class Rounded(CorrectLM):
    """Rounds to two decimals, as a server prints them; the sum is slightly above 1."""

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens).round(2)


class OffByOne(CorrectLM):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens[:-1] or tokens)


class FirstPositionRead(CorrectLM):
    """Returns the row after the first token instead of the last one."""

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens[:1])


class SignNegated(CorrectLM):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return -super().greedy_impl(tokens)


class RawLogits(CorrectLM):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return self.logits(tokens).astype(np.float32)


class ClippedLogits(CorrectLM):
    """Returns logits that look like log-probabilities, because none is above 0."""

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return np.minimum(self.logits(tokens), 0).astype(np.float32)


class Scaled(CorrectLM):
    """Returns probabilities that are half a percent too small."""

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens) - np.float32(0.005)


class Probabilities(CorrectLM):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return np.exp(super().greedy_impl(tokens))


class BaseTwo(CorrectLM):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens) / np.float32(np.log(2))


class Unnormalised(CorrectLM):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        row = self.logits(tokens)
        return (row - row.max()).astype(np.float32)


class Float16Overflow(CorrectLM):
    """Computes the sum in float16: it overflows, and all values become -inf."""

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        with np.errstate(over="ignore"):
            logits = (self.logits(tokens) + 20).astype(np.float16)
            total = np.exp(logits).sum(dtype=np.float16)
            return (logits - np.log(total)).astype(np.float32)


class DoublePrecision(CorrectLM):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens).astype(np.float64)


class TopTenOnly(CorrectLM):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        row = super().greedy_impl(tokens)
        row[np.argsort(row)[:-10]] = -np.inf
        return row


class Nondeterministic(CorrectLM):
    calls = count()

    def logits(self, tokens: Sequence[int]) -> Any:
        logits = super().logits(tokens)
        logits[next(self.calls) % len(logits)] += 3.0
        return logits


class NoisyOffByOne(OffByOne):
    """Adds noise within its tolerance."""

    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), tolerance=1e-4)

    def logits(self, tokens: Sequence[int]) -> Any:
        logits = super().logits(tokens)
        generator = self.__dict__.setdefault("generator", np.random.default_rng(0))
        return logits + generator.uniform(-1e-5, 1e-5, len(logits))
