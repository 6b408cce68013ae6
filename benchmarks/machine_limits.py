"""The limits of a machine (operations and bytes a second), and the least time that they allow."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Size of the matrices, and bytes to read: larger than the caches.
MATRIX = 2048
READ_BYTES = 1 << 29
REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class MachineLimits:
    """What this machine reaches at its best, in float32 on all cores.

    :ivar operations: multiplications and additions a second, in a product of large matrices.
    :ivar bytes: bytes a second, read from memory.
    """

    operations: float
    bytes: float

    @classmethod
    def measure(cls) -> MachineLimits:
        """Measure both; it takes some seconds."""
        first = np.ones((MATRIX, MATRIX), dtype=np.float32)
        second = np.ones((MATRIX, MATRIX), dtype=np.float32)
        large = np.ones(READ_BYTES // 4, dtype=np.float32)
        operations = 2 * MATRIX**3 / _least_seconds(lambda: first @ second)
        # A product of a matrix and a vector reads the matrix once.
        columns = large.reshape(-1, 1024)
        vector = np.ones(1024, dtype=np.float32)
        read = READ_BYTES / _least_seconds(lambda: columns @ vector)
        return cls(operations=operations, bytes=read)

    def least_seconds(self, *, tokens: int, weights: int, passes: int, weight_bytes: int) -> float:
        """Return the least time of a method: that of its operations or of its bytes.

        :param tokens: tokens that it evaluates.
        :param weights: parameters of the model that take part in a product.
        :param passes: how often it reads all weights, which is the number of forwards.
        :param weight_bytes: bytes of the weights.
        """
        return max(2 * tokens * weights / self.operations, passes * weight_bytes / self.bytes)


def _least_seconds(run: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
