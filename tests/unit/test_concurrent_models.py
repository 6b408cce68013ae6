"""Many threads, and several models on one engine of core's own: every answer is the lone one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from autocog_core import Model
from autocog_core.backends.random import RandomLM
from tests.support.concurrent_calls import try_together
from tests.support.trials import Trials, tried


class Engine:
    """An engine for one caller at a time: a second one inside would change its prefix."""

    def __init__(self) -> None:
        self.random = RandomLM()
        self.prefix: list[int] = []
        self.calls = 0
        self.is_busy = threading.Lock()


class SharedEngine(RandomLM):
    """Backends over one engine, which keeps state during a call."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        engine = self.engine
        assert engine.is_busy.acquire(blocking=False), "two calls are inside at once"
        engine.prefix = []
        for token in tokens:
            engine.prefix.append(token)
        engine.calls += 1
        row = engine.random.greedy_impl(engine.prefix)
        engine.is_busy.release()
        return row


@tried(
    "Mixed calls of 16 threads on 3 models of one engine (core)",
    expect="the answer of the call alone",
    normal=150,
    soak=2000,
)
def test_mixed_calls_of_many_threads_equal_lone_calls(trials: Trials) -> None:
    engine = Engine()
    models = [Model(SharedEngine(engine)) for _ in range(3)]
    try_together(models, trials, tolerance=1e-9)
    assert engine.calls > len(trials)
