"""Descriptions that are wrong, or missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import BackendInfo, hookimpl
from tests.mutants.sound import Sound


class ChangingFingerprint(Sound):
    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), compute_fingerprint=lambda: str(id(self)))


class Unmarked:
    """A hook without its decorator: it is never called."""

    @hookimpl
    def describe(self) -> BackendInfo:
        return BackendInfo(name="unmarked", vocabulary_size=256, compute_fingerprint=lambda: "x")

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return np.zeros(256, dtype=np.float32)


class Mute(Sound):
    """Fails to describe itself."""

    def describe_impl(self) -> BackendInfo:
        raise KeyError("vocab_size")


class Dictionary(Sound):
    """Describes itself in a type of its own."""

    def describe_impl(self) -> Any:
        return {"vocabulary_size": 259}
