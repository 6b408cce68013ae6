"""Threads that make the calls that wait for a model."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

from autocog_core.async_calls.call import Call, StoppedError, make_calls
from autocog_core.async_calls.waiting_calls import WaitingCalls
from autocog_core.errors import ClosedError


class CallThreads:
    """Threads that make calls in the order in which they came; clients take turns.

    A single thread, for an engine that takes one call at a time, makes calls of one group together.
    Several threads, for a server, make each call alone.

    :param name: the name of the model.
    :param count: number of threads.
    :param max_together: how many calls are made together at most.
    :ivar busy_seconds: the time in which the threads made calls, of all together.
    """

    def __init__(self, name: str, count: int, max_together: int) -> None:
        self._name = name
        self._max_together = max_together if count == 1 else 1
        self._waiting = WaitingCalls()
        self._has_calls = threading.Condition()
        self._is_closed = False
        self.busy_seconds = 0.0
        self._threads = [
            threading.Thread(target=self._work, name=f"autocog-async-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, calls: Sequence[Call]) -> None:
        """Let the threads make calls."""
        with self._has_calls:
            if not self._is_closed:
                self._waiting.add(calls)
                self._has_calls.notify(len(calls))
                return
        for call in calls:
            if call.future.set_running_or_notify_cancel():
                call.future.set_exception(ClosedError("the model is closed", where=self._name))

    def end(self) -> None:
        """Let the threads end after the calls that they make now. Waiting calls are errors."""
        with self._has_calls:
            self._is_closed = True
            waiting = self._waiting.take_all()
            self._has_calls.notify_all()
        self.add(waiting)

    def close(self) -> None:
        """End the threads, and wait until they have ended."""
        self.end()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _work(self) -> None:
        while calls := self._next_calls():
            begin = time.monotonic()
            _make(calls)
            # What it knows of the calls is gone before the thread waits again.
            del calls
            with self._has_calls:
                self.busy_seconds += time.monotonic() - begin

    def _next_calls(self) -> list[Call]:
        """Wait for calls, and return those to make next; none at the end."""
        with self._has_calls:
            while not self._waiting and not self._is_closed:
                self._has_calls.wait()
            return self._waiting.take(self._max_together)


def _make(calls: Sequence[Call]) -> None:
    # Until it is marked as running, a future may be cancelled.
    running = [call for call in calls if call.future.set_running_or_notify_cancel()]
    for call, result in zip(running, make_calls(running), strict=True):
        _finish(call.future, result)


def _finish(future: Future[object], result: object) -> None:
    if isinstance(result, StoppedError):
        # Nobody waits.
        future.set_result(None)
    elif isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
