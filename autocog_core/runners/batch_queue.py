"""Batches that several workers take, and whose results come out in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from autocog_core.runners.job import Batch
from autocog_core.runners.worker import WorkedBatch


class BatchQueue:
    """Numbers batches, keeps those that workers have, and their results until it is their turn.

    :param batches: the batches.
    :param ahead: how many batches are taken from them before the first result is.
    """

    def __init__(self, batches: Iterable[Batch], ahead: int) -> None:
        self._batches = enumerate(batches)
        self._read: tuple[int, Batch] | None = None
        self._ahead = ahead
        self._next = 0
        self._is_exhausted = False
        self._taken: dict[int, Batch] = {}
        self._again: deque[int] = deque()
        self._results: dict[int, WorkedBatch] = {}

    @property
    def is_finished(self) -> bool:
        """Whether no batch is with a worker, nor waits for one or to be yielded."""
        return self.is_exhausted and not self._taken

    @property
    def is_exhausted(self) -> bool:
        """Whether there is no batch that a worker could still take."""
        return self._is_exhausted and self._read is None and not self._again

    @property
    def has_waiting(self) -> bool:
        """Whether `take` has a batch."""
        if self._again:
            return True
        if self._read is None and not self._is_exhausted and len(self._taken) < self._ahead:
            self._read = next(self._batches, None)
            self._is_exhausted = self._read is None
        return self._read is not None

    def take(self) -> tuple[int, Batch] | None:
        """Return the number of the next batch to work on, and the batch.

        None if there is none, or if enough are under way.
        """
        if self._again:
            number = self._again.popleft()
            return number, self._taken[number]
        if not self.has_waiting:
            return None
        numbered, self._read = self._read, None
        assert numbered is not None
        self._taken[numbered[0]] = numbered[1]
        return numbered

    def rows_of(self, number: int) -> str:
        """Return which rows are in a batch that is not yielded yet, for messages."""
        batch = self._taken[number]
        return f"rows {batch[0].index} to {batch[-1].index}"

    def put(self, number: int, result: WorkedBatch | None) -> None:
        """Enter the result of a batch; None lets another worker take it."""
        if result is None:
            self._again.append(number)
        else:
            self._results[number] = result

    def next_result(self) -> WorkedBatch | None:
        """Return the result whose turn it is; None if it is not there yet."""
        result = self._results.pop(self._next, None)
        if result is not None:
            del self._taken[self._next]
            self._next += 1
        return result
