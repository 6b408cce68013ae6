"""The open paths of a run, and the order in which they advance."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Literal

from autocog_core.evaluation.open_path import OpenPath

#: "breadth_first": all open paths advance together. "best_first": the likeliest one advances.
Order = Literal["breadth_first", "best_first"]


class Frontier:
    """The open paths of a run.

    :param order: the order in which they advance.
    :param top: with "best_first": how many complete paths to prove as the best; None for all.
    :ivar active: the paths that wait for a model's answers.
    """

    def __init__(self, order: Order, top: int | None) -> None:
        self._order = order
        self._top = top
        self.active: list[OpenPath] = []
        self._queue: deque[OpenPath] = deque()
        self._heap: list[tuple[float, int, OpenPath]] = []
        self._questions: deque[OpenPath] = deque()
        self._added = count()

    def __bool__(self) -> bool:
        """Return whether a path is open."""
        return bool(self.active or self._queue or self._heap or self._questions)

    def add(self, path: OpenPath) -> None:
        """Add a path that waits to start its next action."""
        if path.question is not None:
            # It is a part of a path that is active already.
            self._questions.append(path)
        elif self._order == "best_first":
            heapq.heappush(self._heap, (-path.logprob, next(self._added), path))
        else:
            self._queue.append(path)

    def take_waiting(self) -> Iterator[OpenPath]:
        """Yield the paths that start now: all that wait, or the likeliest if none is active.

        A group that starts adds its questions: they advance together with the other paths.
        """
        if self._order == "best_first":
            waiting = deque[OpenPath]()
            if not self.active and not self._questions and self._heap:
                waiting.append(heapq.heappop(self._heap)[2])
        else:
            waiting, self._queue = self._queue, deque()
        while waiting or self._questions:
            yield (self._questions or waiting).popleft()

    def paths_of_automaton(self) -> list[OpenPath]:
        """Return the open paths that belong to no question of a group."""
        paths = [*self.active, *self._queue, *(entry[2] for entry in self._heap)]
        return [path for path in paths if path.question is None]

    def is_top_proven(self, complete: Sequence[float]) -> bool:
        """Return whether no open path can still become one of the best `top` paths.

        The log-probability of a path never rises as it continues.

        :param complete: the log-probabilities of the complete paths.
        """
        if self._top is None or self._order != "best_first" or len(complete) < self._top:
            return False
        lowest = sorted(complete, reverse=True)[self._top - 1]
        bounds = [_upper_bound(path) for path in (*self.active, *self._questions)]
        bounds += [-entry[0] for entry in self._heap[:1]]
        return all(bound <= lowest for bound in bounds)


def _upper_bound(path: OpenPath) -> float:
    """Return the highest log-probability that the whole path may still have."""
    return path.logprob if path.question is None else path.whole.logprob + path.logprob
