"""One call that waits for a model, and what calls can be made together."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import Any

#: The results of calls that were made together, in their order; an error is that of one call.
Results = Sequence[object]


class StoppedError(Exception):
    """Raised inside a call that nobody waits for any more."""


class Call(ABC):
    """A call of a model that a thread makes later.

    :ivar future: its result.
    :ivar stopped: set if nobody waits for the result any more.
    """

    def __init__(self) -> None:
        self.future: Future[Any] = Future()
        self.stopped = threading.Event()

    @abstractmethod
    def make(self) -> object:
        """Make the call, and return its result."""

    def group(self) -> Hashable:
        """Return what calls must have in common to be made together; None for a call alone."""
        return None

    def make_together(self, calls: Sequence[Any]) -> Results:
        """Make calls of one group.

        :param calls: two or more calls; this one is the first.
        :returns: the result or the error of each.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Say that nobody waits for the result any more."""
        self.stopped.set()
        self.future.cancel()


class PlainCall(Call):
    """A call that is made alone.

    :param function: makes the call. It may pass its argument, a function, the pieces of text that
        it gets; this function ends the call with an error once nobody waits for it.
    """

    def __init__(self, function: Callable[[Callable[[str], None]], object]) -> None:
        super().__init__()
        self._function = function

    def make(self) -> object:
        """Make the call, and return its result."""
        return self._function(self._check)

    def _check(self, piece: str) -> None:
        if self.stopped.is_set():
            raise StoppedError


def make_each(calls: Sequence[Call]) -> list[object]:
    """Make calls one after the other, and return the result or the error of each."""
    results: list[object] = []
    for call in calls:
        if call.stopped.is_set():
            results.append(StoppedError())
            continue
        try:
            results.append(call.make())
        except Exception as error:  # noqa: BLE001 - it is the result of this call
            results.append(error)
    return results
