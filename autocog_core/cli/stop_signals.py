"""Ways to stop a long command: Ctrl-C, SIGTERM, and a budget of seconds."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Stop:
    """Why work was stopped.

    :ivar reason: "interrupt" (Ctrl-C), "termination" (SIGTERM) or "budget"; empty if it was not.
    """

    reason: str = ""


def run_until_stopped(work: Callable[[], None], budget: float | None = None) -> Stop:
    """Run until the end, Ctrl-C, SIGTERM, or until the seconds are used up; none is an error.

    Not a context manager: it could not end its block if the stop came before the block begins.

    :param work: what to run.
    :param budget: how many seconds it may take; None for no limit.
    """
    stop = Stop()
    is_main = threading.current_thread() is threading.main_thread()
    timer = None if budget is None else threading.Timer(budget, _interrupt_main, [stop])

    def terminate(number: int, frame: object) -> None:
        stop.reason = "termination"
        raise KeyboardInterrupt

    # Only the main thread can receive signals.
    previous = signal.signal(signal.SIGTERM, terminate) if is_main else None
    # Shells start jobs in the background with SIGINT ignored, and the budget uses it.
    is_ignored = is_main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if is_ignored and budget is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        try:
            if timer is not None:
                timer.daemon = True
                timer.start()
            work()
        finally:
            if timer is not None:
                timer.cancel()
    except KeyboardInterrupt:
        stop.reason = stop.reason or "interrupt"
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, previous)
        if is_ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    return stop


def _interrupt_main(stop: Stop) -> None:
    """Interrupt the main thread as Ctrl-C does, so that engines end their calls cleanly."""
    stop.reason = "budget"
    if hasattr(signal, "pthread_kill"):
        # A real signal also wakes a thread that waits.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
