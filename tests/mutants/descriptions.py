"""Descriptions that are wrong or missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import BackendInfo, hookimpl
from tests.mutants.correct_models import CorrectLM


class ChangingFingerprint(CorrectLM):
    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), compute_fingerprint=lambda: str(id(self)))


class HooksNotMarked:
    """Has a hook without the decorator, so it is never called."""

    @hookimpl
    def describe(self) -> BackendInfo:
        return BackendInfo(name="unmarked", vocabulary_size=256, compute_fingerprint=lambda: "x")

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return np.zeros(256, dtype=np.float32)


class DescriptionFails(CorrectLM):
    """Raises an error in `describe`."""

    def describe_impl(self) -> BackendInfo:
        raise KeyError("vocab_size")


class DescriptionIsDict(CorrectLM):
    """Returns a dict instead of `BackendInfo`."""

    def describe_impl(self) -> Any:
        return {"vocabulary_size": 259}
