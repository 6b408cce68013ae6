"""Running llama.cpp so that Ctrl-C can stop it.

Python handles a signal only between two of its own instructions, and one call of llama.cpp may take
a minute. So the call runs on a thread of its own while the caller waits, which a signal can
interrupt; llama.cpp is then told to stop through its abort callback.

A signal may raise anywhere, here too. What must not happen is that llama.cpp goes on with memory
that is given back: no call begins, and nothing is freed, before the last one has ended (`settle`).
"""

from __future__ import annotations

import _thread
import ctypes
import os
import sys
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import llama_cpp

from autocog_core import ClosedError, EngineError

Answer = TypeVar("Answer")

#: Seconds between two looks at a call that is told to stop, in case the signal for its end is lost.
_LOOK = 0.05


class _Job(Generic[Answer]):
    """One call. It holds what the call needs until it has ended, whoever waits for it."""

    def __init__(self, call: Callable[[], Answer]) -> None:
        self._call = call
        #: Taken by whoever comes first: the thread to run it, or the caller to call it off.
        self.claim = _thread.allocate_lock()
        self.finished = False
        self._answer: Answer | None = None
        self._error: BaseException | None = None
        self._done = _thread.allocate_lock()
        self._done.acquire()

    def run(self) -> None:
        """Make the call, unless it was called off."""
        if not self.claim.acquire(blocking=False):
            return
        try:
            self._answer = self._call()
        except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
            self._error = error
        del self._call
        self.finished = True
        self._done.release()

    def result(self) -> Answer:
        """What the call returned, or raises what it has raised: once."""
        error, self._error = self._error, None
        if error is None:
            return self._answer  # type: ignore[return-value]
        try:
            raise error
        finally:
            # Its traceback knows this frame.
            del error

    def wait(self) -> None:
        """Return once it has ended; a signal may raise."""
        while not self.finished:
            self._done.acquire()

    def wait_out(self) -> None:
        """Return once it has ended, or was called off before it began; whatever is raised."""
        while not self.finished:
            try:
                if self.claim.acquire(blocking=False):
                    self.finished = True
                    return
                self._done.acquire(timeout=_LOOK)
            except BaseException:  # noqa: BLE001, S112 - it is being stopped already
                continue


class Interruptible:
    """One thread that makes all calls of one engine, and the flag that stops them.

    :ivar flag: not 0 while llama.cpp is to stop.
    """

    def __init__(self) -> None:
        self.flag = ctypes.create_string_buffer(2)
        # llama.cpp asks at every node of its graph, thousands of times a second: a Python function
        # would be slow. The flag is a C string, so its length says whether it is set.
        library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
        self.callback: Any = ctypes.cast(library.strlen, llama_cpp.ggml_abort_callback)
        self._process = os.getpid()
        self._last: _Job[Any] | None = None
        self._closed = False
        #: Between "is it closed?" and the call that follows nobody may close it.
        self._beginning = threading.Lock()
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        # One thread for all calls: OpenMP keeps a team of workers for every thread that calls it.
        # Not one that Python waits for: it has nothing to say when the program ends.
        threading.Thread(
            target=_work, args=(self._jobs,), name="autocog-llamacpp", daemon=True
        ).start()
        weakref.finalize(self, self._jobs.put, None)

    def run(self, call: Callable[[], Answer]) -> Answer:
        """The result of `call`; an interrupt stops it, and is raised once it has stopped.

        :raises EngineError: in a process that was forked from the one that loaded the model.
        :raises ClosedError: once it is closed: threads may be at work still when Python ends.
        """
        if os.getpid() != self._process:
            raise EngineError(
                "the model was loaded before this process was forked",
                hint="load it in this process, or start processes by spawn",
            )
        self.settle()
        job = _Job(call)
        try:
            with self._beginning:
                if self._closed:
                    raise ClosedError("the model is closed", hint="load it again")
                self._last = job
                self._jobs.put(job)
            job.wait()
        except BaseException:
            self.settle()
            raise
        # Nothing is kept of it: what it knows would wait for a collector, or for the next call.
        self._last = None
        return job.result()

    def settle(self) -> None:
        """Stop a call that is still running, because its caller was interrupted."""
        job = self._last
        if job is not None and not job.finished:
            self.flag[0] = b"1"
            job.wait_out()
        self._last = None
        # Only here, where nothing runs: an interrupt may have come before it was cleared.
        self.flag[0] = b"\0"

    def close(self) -> None:
        """Stop what is running, and refuse what would come after."""
        with self._beginning:
            self._closed = True
        self.settle()

    @property
    def stopping(self) -> bool:
        """Whether llama.cpp is to stop."""
        return self.flag[0] != b"\0"

    @property
    def own(self) -> bool:
        """Whether this is the process that made it, and not a fork."""
        return os.getpid() == self._process


def _work(jobs: SimpleQueue[_Job[Any] | None]) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        # Not kept until the next one comes: it holds memory.
        del job
