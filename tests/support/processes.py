"""Child processes: the environment of those that import `tests.support`, and calls in a fork."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

#: The root of the repository.
ROOT = Path(__file__).parents[2]


def child_environment(**variables: str) -> dict[str, str]:
    """Return this environment, with `variables`, for a child that imports from `tests`."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, **variables}


def call_in_fork(call: Callable[[], object], seconds: float = 20.0) -> str:
    """Call a function in a forked process, and return its result or its error as text.

    :param call: the function.
    :param seconds: how long to wait; then the process is killed, and the result is "it hangs".
    """
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            text = str(call())
        except BaseException as error:  # noqa: BLE001 - nothing may leave the child
            text = f"{type(error).__name__}: {error}"
        os.write(sender, text.encode())
        # Without the handlers of pytest at exit.
        os._exit(0)
    os.close(sender)
    ready, _, _ = select.select([receiver], [], [], seconds)
    text = os.read(receiver, 65536).decode() if ready else "it hangs"
    os.close(receiver)
    if not ready:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return text
