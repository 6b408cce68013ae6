"""Run one check in a child process, which answers with one JSON document.

The child rewrites the document after each step. Therefore the parent knows what a child that
crashed or hung did last, and what it had found out before.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from pkgutil import resolve_name
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

from autocog_core.doctor.problem import Problem
from autocog_core.doctor.report_redaction import register_secrets, to_json_data

_START = f"from {__name__} import run_check; run_check()"
_FIRST_STEP = "starting"
#: Python stops threads and runs exit handlers, which may hang or crash, too.
_LAST_STEP = "exiting"
_MAX_LINE = 200
_MAX_OUTPUT_BYTES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What a check reported, and how its process ended.

    :ivar facts: the reported facts, by name; if the process ended early, those up to then.
    :ivar step: what the process did last.
    :ivar timed_out: the process ran too long and was killed.
    :ivar problem: why the check failed, or how its process ended early; None if all is well.
    """

    facts: dict[str, Any]
    step: str
    timed_out: bool
    problem: Problem | None


#: The key of the facts of other models, by name.
PARTNERS = "partners"


class ProbeChannel:
    """The child's end: facts that it reports to its parent.

    :param path: the file of the JSON document.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._step = _FIRST_STEP
        self._facts: dict[str, Any] = {}

    def report(self, *, step: str | None = None, **facts: Any) -> None:
        """Add facts to the document; a fact replaces an earlier one of the same name.

        :param step: what the process does next, as in "while ...".
        """
        if step is not None:
            self._step = step
        self._facts.update(to_json_data(facts))
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps({"step": self._step, **self._facts}), encoding="ascii")
        # Atomic: a process that is killed here leaves a whole document.
        temporary.replace(self._path)

    def partner(self, name: str) -> ProbeChannel:
        """Return a channel for the facts of another model, whose steps are not reported."""
        return _PartnerChannel(self, name)


class _PartnerChannel(ProbeChannel):
    def __init__(self, channel: ProbeChannel, name: str) -> None:
        self._channel = channel
        self._name = name
        self._facts = {}

    def report(self, *, step: str | None = None, **facts: Any) -> None:
        self._facts.update(to_json_data(facts))
        others = self._channel._facts.get(PARTNERS, {})
        whole: dict[str, Any] = {PARTNERS: {**others, self._name: self._facts}}
        self._channel.report(**whole)


def run_check() -> None:
    """Run the check that the command line names: DOCUMENT MODULE:FUNCTION ARGUMENT..."""
    path, check, *arguments = sys.argv[1:]
    channel = ProbeChannel(path)
    register_secrets()
    function = resolve_name(check)
    try:
        function(channel, *arguments)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        channel.report(problem=asdict(Problem.from_error(error)))
    channel.report(step=_LAST_STEP)


def run_probe(
    check: str,
    arguments: Sequence[str],
    *,
    timeout: float,
    fix: str,
    register: Callable[[dict[str, Any]], None] = lambda facts: None,
) -> ProbeResult:
    """Run a check in a child process, and kill the process and all its children afterwards.

    :param check: a function as "module:name". It gets a `ProbeChannel` and the arguments.
    :param timeout: the time limit in seconds.
    :param fix: what to do if the process crashes.
    :param register: is called with the facts, and may register secrets. The result does not
        contain these secrets.
    """
    # Files instead of pipes: a grandchild that keeps a pipe open would block the parent.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, TemporaryFile() as output:
        document = Path(folder, "probe.json")
        code = _run_process([str(document), check, *arguments], timeout, output)
        facts = json.loads(document.read_bytes()) if document.exists() else {}
        step = facts.pop("step", _FIRST_STEP)
        register(facts)
        # Again: this process may know secrets that the child did not know.
        facts = to_json_data(facts)
        problem = Problem(**facts.pop("problem")) if "problem" in facts else None
        if code is None:
            message = f"the process did not end within {timeout:g} s; it was {step}"
            problem = Problem(message=message, fix="allow more time with --timeout SECONDS")
        elif code != 0 or step != _LAST_STEP:
            line = _last_stderr_line(output)
            message = f"the process {_exit_description(code)} while {step}"
            problem = Problem(message=message + (line and f": {line}"), fix=fix)
    return ProbeResult(facts=facts, step=step, timed_out=code is None, problem=problem)


def _run_process(arguments: Sequence[str], timeout: float, output: IO[bytes]) -> int | None:
    """Run `run_check` in a child process, and return its exit code; None after the time limit."""
    path = os.pathsep.join(_absolute_entries())
    process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of core
        # -P: modules in the current folder must not hide installed ones.
        [sys.executable, "-P", "-c", _START, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        # The child process finds the same modules as this process.
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        return None
    finally:
        # Also after success: a plugin may have started other processes.
        _kill_group(process)


def _absolute_entries() -> list[str]:
    """The folders of `sys.path`, for a child process in any folder."""
    try:
        return [os.path.abspath(entry) for entry in sys.path]
    except OSError:
        # The current folder was removed, and nothing can be imported from it.
        return [entry for entry in sys.path if os.path.isabs(entry)]


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        # Some systems raise an error if the process has just ended.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _exit_description(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _last_stderr_line(output: IO[bytes]) -> str:
    """The last line that the process printed: an engine that aborts gives its reason there."""
    output.seek(max(0, output.seek(0, os.SEEK_END) - _MAX_OUTPUT_BYTES))
    lines = [line.strip() for line in output.read().decode("utf-8", "replace").splitlines()]
    line = str(to_json_data(next((line for line in reversed(lines) if line), "")))
    return line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 1] + "…"
