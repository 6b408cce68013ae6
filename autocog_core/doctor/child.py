"""Running a module in a process of its own: whatever happens there, this one goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any

from autocog_core.doctor.problem import plain

_LONGEST_WORDS = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a child process told, and how it ended.

    :ivar told: the facts, by name; those told before a bad end too.
    :ivar fault: how it ended, where that was not as it should.
    :ivar timed_out: it was ended because it took too long.
    """

    told: dict[str, Any]
    fault: str = ""
    timed_out: bool = False


def ask(
    module: str,
    arguments: Sequence[str],
    timeout: float,
    learn: Callable[[dict[str, Any]], None] = lambda facts: None,
) -> Answer:
    """Run `module` with a `ProbeChannel`; after `timeout` s end it with all that it started.

    The module's last word is `done=True`.

    :param learn: is shown the facts first, before secrets are taken out of them and of what the
        process said at its end: they may tell what is secret.
    """
    # Files, not pipes: a pipe that a grandchild holds open would be waited for without end.
    with TemporaryFile() as told, TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
            # -P: a file in the current folder must not stand in for a module.
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=said,
            env=_same_modules(),
            start_new_session=True,
        )
        code = None
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Also after a good end: a plugin may have started what would go on.
            _end(process)
        facts = _facts(told)
        learn(facts)
        # Again, for this process may know secrets that the child did not.
        facts = {name: plain(value) for name, value in facts.items()}
        done = bool(facts.pop("done", False))
        if code is None:
            return Answer(facts, f"it did not end within {timeout:g} s", timed_out=True)
        if done and code == 0:
            return Answer(facts)
        words = _last_words(said)
        return Answer(facts, f"it ended the process{_how(code)}" + (words and f": {words}"))


def _same_modules() -> dict[str, str]:
    """The environment in which a child finds the modules that this process finds."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return {**os.environ, "PYTHONPATH": path}


def _end(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        # It may have ended just now, which some systems answer with an error.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _facts(stream: IO[bytes]) -> dict[str, Any]:
    stream.seek(0)
    facts: dict[str, Any] = {}
    for line in stream.read().decode("ascii", errors="replace").splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            # Half a line, where it was ended while it wrote, or what was printed before it began.
            continue
        facts.update(told if isinstance(told, dict) else {})
    return facts


def _how(code: int) -> str:
    if code >= 0:
        return f" with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f" by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _last_words(stream: IO[bytes]) -> str:
    """The last line on standard error: an engine that aborts says why."""
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - 10_000))
    lines = [line.strip() for line in stream.read().decode("utf-8", "replace").splitlines()]
    words = str(plain(next((line for line in reversed(lines) if line), "")))
    return words if len(words) <= _LONGEST_WORDS else words[: _LONGEST_WORDS - 1] + "…"


class ProbeChannel:
    """The way to the parent: this process's standard output, which nobody else may use.

    Whatever plugins print goes to standard error from here on.
    """

    def __init__(self) -> None:
        sys.stdout.flush()
        self._stream = os.fdopen(os.dup(1), "w", encoding="ascii")
        os.dup2(2, 1)

    def __call__(self, **facts: Any) -> None:
        """Tell facts; a later one replaces an earlier one of the same name."""
        self._stream.write(json.dumps(plain(facts)) + "\n")
        self._stream.flush()
