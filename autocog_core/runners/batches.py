"""Batches of rows, and their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from itertools import islice
from typing import TypeVar

from autocog_core.dataset.input_rows import Row
from autocog_core.runners.job import Batch

#: Rows of a batch, at least.
MIN_BATCH_ROWS = 8
Result = TypeVar("Result")


def make_batches(rows: Iterable[Row], rows_at_once: int) -> Iterator[Batch]:
    """Yield the rows in batches.

    :param rows: the rows.
    :param rows_at_once: how many rows a worker runs at once. The last of a batch run while some of
        its places are empty, so a batch has several times as many.
    """
    iterator = iter(rows)
    size = max(MIN_BATCH_ROWS, 4 * rows_at_once)
    while batch := tuple(islice(iterator, size)):
        yield batch


def run_in_order(
    submit: Callable[[Batch], Future[Result]], batches: Iterable[Batch], ahead: int
) -> Iterator[Result]:
    """Yield the result of each batch, in order, for a runner whose work gives futures.

    :param submit: begins to work on a batch.
    :param batches: the batches.
    :param ahead: the number of batches that are taken before the first result is yielded.
    """
    running: deque[Future[Result]] = deque()
    try:
        for batch in batches:
            running.append(submit(batch))
            if len(running) >= ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()
