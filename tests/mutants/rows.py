"""Rows that are no distribution, not of these tokens, or not the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from autocog_core import BackendInfo
from tests.mutants.sound import Sound


class Rounded(Sound):
    """As a server prints them: to two decimals, which add up to a little more than 1."""

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens).round(2)


class OffByOne(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens[:-1] or tokens)


class FirstPosition(Sound):
    """Reads the row of the first token in place of the last one."""

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens[:1])


class PositiveSign(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return -super().greedy_impl(tokens)


class RawLogits(Sound):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return self.logits(tokens).astype(np.float32)


class ClippedLogits(Sound):
    """Logits that could be log-probabilities: none is above 0."""

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return np.minimum(self.logits(tokens), 0).astype(np.float32)


class Scaled(Sound):
    """All probabilities are half a percent too small."""

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return super().greedy_impl(tokens) - np.float32(0.005)


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


class NoisyOffByOne(OffByOne):
    """Rounds otherwise each time, within its tolerance."""

    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), tolerance=1e-4)

    def logits(self, tokens: Sequence[int]) -> Any:
        logits = super().logits(tokens)
        generator = self.__dict__.setdefault("generator", np.random.default_rng(0))
        return logits + generator.uniform(-1e-5, 1e-5, len(logits))
