"""uvicorn's server, ended by signals in the way of a command."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

#: Seconds in which models close after the last answer.
CLOSE_SECONDS = 5
#: The exit code of a program that Ctrl+C ended.
INTERRUPTED = 130


class Server(uvicorn.Server):
    """uvicorn's server, which returns after a signal; uvicorn itself would raise it once more.

    A second Ctrl+C ends the process at once. So does the end of the time for answers and models,
    because no engine can be stopped from another thread.

    :ivar on_ending: called with the number of requests that are under way when the server stops.
    """

    on_ending: Callable[[int], None] = staticmethod(lambda count: None)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is under way, and stop."""
        self.on_ending(len(self.server_state.tasks))
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM within a block."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop the server; end the process at a second Ctrl+C."""
        if self.should_exit:
            if sig == signal.SIGINT:
                _end_process(INTERRUPTED)
            return
        self.should_exit = True
        seconds = (self.config.timeout_graceful_shutdown or 0) + CLOSE_SECONDS
        watch = threading.Timer(seconds, _end_process, [1])
        watch.daemon = True
        watch.start()


def _end_process(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)
