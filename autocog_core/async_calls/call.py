"""One call that waits for a model, and calls that are made together."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from functools import cached_property
from typing import Any

#: Whose calls the current task makes. Clients that wait for one model take turns.
current_client: ContextVar[Hashable] = ContextVar("current_client", default=None)


class StoppedError(Exception):
    """Raised inside a call that nobody waits for any more."""


class Call(ABC):
    """A call of a model that a thread makes later.

    :ivar future: its result.
    :ivar stopped: set if nobody waits for the result any more.
    :ivar client: whose call it is.
    """

    def __init__(self) -> None:
        self.future: Future[Any] = Future()
        self.stopped = threading.Event()
        self.client = current_client.get()

    @cached_property
    def key(self) -> Hashable:
        """What calls must have in common to be made together; None for a call alone."""
        return None

    @abstractmethod
    def make(self) -> object:
        """Make the call, and return its result."""

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


class GroupedCall(Call):
    """A call that an engine takes together with others."""

    @cached_property
    def key(self) -> Hashable:
        """What calls must have in common to be made together; None for a call alone."""
        try:
            return self.group()
        except BaseException:  # noqa: BLE001 - such as of an argument's `__repr__`
            # If it is an error of the call, the call alone raises it.
            return None

    @abstractmethod
    def group(self) -> Hashable:
        """Return what calls must have in common to be made together; None for a call alone."""

    @abstractmethod
    def make_together(self, calls: Sequence[Any]) -> Sequence[object]:
        """Make calls of one group.

        :param calls: two or more calls; this one is the first.
        :returns: the result of each; an error is that of one call.
        :raises Exception: an error of all, or of a call that is not known.
        """


def make_calls(calls: Sequence[Call]) -> list[object]:
    """Make calls of one group, and return the result or the error of each.

    If calls together have an error, their halves are made: so the call whose error it is is found
    soon, and the others are still made together.

    :param calls: the calls.
    """
    if not calls:
        return []
    first = calls[0]
    if len(calls) == 1:
        return [_make(first)]
    assert isinstance(first, GroupedCall)
    try:
        return list(first.make_together(calls))
    except BaseException:  # noqa: BLE001 - the halves show whose error it is
        middle = len(calls) // 2
        return make_calls(calls[:middle]) + make_calls(calls[middle:])


def _make(call: Call) -> object:
    if call.stopped.is_set():
        return StoppedError()
    try:
        return call.make()
    except StopIteration as error:
        # A future does not take it: its caller would wait for ever.
        wrapped = RuntimeError("a call raised StopIteration")
        wrapped.__cause__ = error
        return wrapped
    except BaseException as error:  # noqa: BLE001 - it is the result of this call
        # Also what is no `Exception`, such as a panic of an extension in Rust: without its thread,
        # all later calls would wait for ever.
        return error
