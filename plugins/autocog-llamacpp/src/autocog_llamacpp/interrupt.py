"""Running llama.cpp so that Ctrl-C can stop it.

Python handles a signal only between two of its own instructions, and one call of llama.cpp may take
a minute. So the call runs on a thread of its own while the caller waits, which a signal can
interrupt; llama.cpp is then told to stop through its abort callback.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import llama_cpp

Answer = TypeVar("Answer")


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
        # One thread for all calls: OpenMP keeps a team of workers for every thread that calls it.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="autocog-llamacpp")

    def run(self, call: Callable[[], Answer]) -> Answer:
        """The result of `call`; an interrupt stops it, and is raised once it has stopped."""
        future = self._executor.submit(call)
        try:
            wait([future])
        except BaseException:
            self.flag[0] = b"1"
            self._wait_out(future)
            self.flag[0] = b"\0"
            raise
        return future.result()

    @property
    def stopping(self) -> bool:
        """Whether llama.cpp is to stop."""
        return self.flag[0] != b"\0"

    def close(self) -> None:
        """Let the thread end."""
        self._executor.shutdown(wait=False)

    @staticmethod
    def _wait_out(future: Any) -> None:
        while not future.done():
            try:
                wait([future])
            except KeyboardInterrupt:
                # Already stopping: llama.cpp must not be left running with our memory.
                continue
