"""Models that take time for each token, or fail at one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from autocog_core import EngineError
from autocog_core.backends.random import RandomLM


class SlowLM(RandomLM):
    """A random model over bytes.

    :param seconds: time for each evaluation.
    :ivar evaluations: how many there were.
    """

    def __init__(self, seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self.seconds = seconds
        self.evaluations = 0

    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[Any]:
        self.evaluations += 1
        time.sleep(self.seconds)
        return super().greedy_impl(tokens)


class FailingLM(RandomLM):
    """A random model whose engine fails.

    :param after: after how many evaluations.
    """

    def __init__(self, after: int, **options: Any) -> None:
        super().__init__(**options)
        self.left = after

    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[Any]:
        self.left -= 1
        if self.left < 0:
            raise EngineError("secret: the engine failed")
        return super().greedy_impl(tokens)
