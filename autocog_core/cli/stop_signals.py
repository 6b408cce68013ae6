"""Ways to stop a long command: Ctrl-C, SIGTERM, and a budget of seconds."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Stop:
    """Why a block was stopped.

    :ivar reason: "interrupt" (Ctrl-C), "termination" (SIGTERM) or "budget"; empty if it was not.
    """

    reason: str = ""


@contextmanager
def stop_signals(budget: float | None = None) -> Iterator[Stop]:
    """End the block without an error at Ctrl-C, at SIGTERM, or when its seconds are used up.

    :param budget: how many seconds the block may take; None for no limit.
    """
    stop = Stop()
    is_main = threading.current_thread() is threading.main_thread()
    timer = None if budget is None else threading.Timer(budget, _interrupt_main, [stop])

    def terminate(number: int, frame: object) -> None:
        stop.reason = "termination"
        raise KeyboardInterrupt

    # Only the main thread can receive signals.
    previous = signal.signal(signal.SIGTERM, terminate) if is_main else None
    try:
        if timer is not None:
            timer.daemon = True
            timer.start()
        yield stop
    except KeyboardInterrupt:
        stop.reason = stop.reason or "interrupt"
    finally:
        if timer is not None:
            timer.cancel()
        if is_main:
            signal.signal(signal.SIGTERM, previous)


def _interrupt_main(stop: Stop) -> None:
    """Interrupt the main thread as Ctrl-C does, so that engines end their calls cleanly."""
    stop.reason = "budget"
    if hasattr(signal, "pthread_kill"):
        # A real signal also wakes a thread that waits.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
