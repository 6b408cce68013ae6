"""Runs llama.cpp so that Ctrl-C can stop it.

Python handles a signal only between two of its own instructions, and one call of llama.cpp may take
a minute. Each call therefore runs on a second thread, while the caller waits. A signal interrupts
the caller, which then stops llama.cpp through its abort callback.

A signal may raise an exception anywhere, also in this module. llama.cpp must never use memory that
was freed: before a call starts, or anything is freed, `stop_running_call` ends the previous call.
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

from autocog_core import ClosedError

Result = TypeVar("Result")

#: Interval of checks whether a stopped call has ended, in case its notification is lost.
_POLL_SECONDS = 0.05


class _Job(Generic[Result]):
    """A call. It keeps its arguments alive until it has ended."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        #: The thread acquires it to run the call, or the caller to cancel it.
        self.claim = _thread.allocate_lock()
        self.finished = False
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._done = _thread.allocate_lock()
        self._done.acquire()

    def run(self) -> None:
        """Make the call, unless it was cancelled."""
        if not self.claim.acquire(blocking=False):
            return
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
            self._error = error
        del self._call
        self.finished = True
        self._done.release()

    def result(self) -> Result:
        """Return the result of the call, or raise its error. Works only once."""
        error, self._error = self._error, None
        if error is None:
            return self._result  # type: ignore[return-value]
        try:
            raise error
        finally:
            # Its traceback refers to this frame.
            del error

    def wait(self) -> None:
        """Wait until the call has ended; a signal may raise."""
        while not self.finished:
            self._done.acquire()

    def join(self) -> None:
        """Wait until the call has ended, or cancel it before it starts. Ignore signals."""
        while not self.finished:
            try:
                if self.claim.acquire(blocking=False):
                    self.finished = True
                    return
                self._done.acquire(timeout=_POLL_SECONDS)
            except BaseException:  # noqa: BLE001, S112 - the call is already being stopped
                continue


class Interruptible:
    """A thread for all calls of an engine, and the flag that stops them.

    :ivar flag: a C string; not empty to stop llama.cpp.
    :ivar callback: llama.cpp's abort callback.
    """

    def __init__(self) -> None:
        self.flag = ctypes.create_string_buffer(2)
        # llama.cpp calls it thousands of times a second: a Python function would be too slow. The
        # flag is a C string, and strlen returns whether it is set.
        library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
        self.callback: Any = ctypes.cast(library.strlen, llama_cpp.ggml_abort_callback)
        self._process = os.getpid()
        self._last: _Job[Any] | None = None
        self._closed = False
        #: Nobody may close the engine between the check of `_closed` and the start of a call.
        self._start_lock = threading.Lock()
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        # One thread for all calls, because OpenMP keeps a team of workers for each calling thread.
        # A daemon, because Python must not wait for it at exit.
        threading.Thread(
            target=_run_jobs, args=(self._jobs,), name="autocog-llamacpp", daemon=True
        ).start()
        weakref.finalize(self, self._jobs.put, None)

    def run(self, call: Callable[[], Result]) -> Result:
        """Return the result of `call`. An interrupt stops the call, and is then raised.

        :param call: the call of llama.cpp.
        :raises ClosedError: after `close`: threads may still run when Python ends.
        """
        self.stop_running_call()
        job = _Job(call)
        try:
            with self._start_lock:
                if self._closed:
                    raise ClosedError("the model is closed", hint="load it again")
                self._last = job
                self._jobs.put(job)
            job.wait()
        except BaseException:
            self.stop_running_call()
            raise
        # Release the job's references now, not at the next call.
        self._last = None
        return job.result()

    def stop_running_call(self) -> None:
        """Stop a call that still runs because its caller was interrupted."""
        job = self._last
        if job is not None and not job.finished:
            self.flag[0] = b"1"
            job.join()
        self._last = None
        # Cleared only here, while nothing runs: an interrupt may have prevented it before.
        self.flag[0] = b"\0"

    def close(self) -> None:
        """Stop the running call, and refuse later ones."""
        with self._start_lock:
            self._closed = True
        self.stop_running_call()

    @property
    def is_stopping(self) -> bool:
        """Whether llama.cpp must stop."""
        return self.flag[0] != b"\0"

    @property
    def is_owner_process(self) -> bool:
        """Whether this process created the object, and is not a fork."""
        return os.getpid() == self._process


def _run_jobs(jobs: SimpleQueue[_Job[Any] | None]) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        # Free its memory now, not when the next job comes.
        del job
