"""Measure the cost of wrappers: a hook call on a backend that does nothing, with and without them.

python benchmarks/wrappers.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from timeit import timeit
from typing import Any

import numpy as np

from autocog_core import Model, hookimpl
from autocog_core.types.backend_info import BackendInfo
from autocog_core.wrappers.cache import Cache
from autocog_core.wrappers.record import Record
from autocog_core.wrappers.trace import Trace
from autocog_core.wrappers.wrapper import HookWrapper

CALLS, ROUNDS = 2000, 15
TOKENS = [1, 2, 3]
ROW = np.full(2, -np.log(2), dtype=np.float32)


class Nothing:
    """A backend that always returns the same row."""

    @hookimpl
    def describe(self) -> BackendInfo:
        """Describe a vocabulary of two tokens."""
        return BackendInfo(name="nothing", vocabulary_size=2, compute_fingerprint=lambda: "nothing")

    @hookimpl
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        """Return the row."""
        return ROW


class Idle:
    """A wrapper that does nothing."""

    @hookimpl(wrapper=True)
    def greedy_impl(self, tokens: Sequence[int]) -> HookWrapper:
        """Return the answer."""
        return (yield)


def main() -> None:
    """Print microseconds per call: medians of interleaved rounds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {
            "no wrapper": Model(Nothing()),
            "three idle wrappers": Model(Nothing(), wrappers=[Idle(), Idle(), Idle()]),
            "trace": Model(Nothing(), wrappers=[Trace(path=folder / "trace.jsonl")]),
            "cache, hits": Model(Nothing(), wrappers=[Cache(path=folder / "cache.sqlite")]),
            "record, repeated": Model(Nothing(), wrappers=[Record(path=folder / "tape.jsonl")]),
        }
        times: dict[str, list[float]] = {label: [] for label in models}
        for _ in range(ROUNDS):
            for label, model in models.items():
                greedy = model.client.greedy
                seconds = timeit(lambda greedy=greedy: greedy(TOKENS), number=CALLS)  # type: ignore[misc]
                times[label].append(1e6 * seconds / CALLS)
        base = median(times["no wrapper"])
        for label, values in times.items():
            cost = median(values) - base
            print(f"{label:20} {median(values):7.1f} us per call, {cost:6.1f} more")
            models[label].close()


if __name__ == "__main__":
    main()
