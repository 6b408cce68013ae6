"""When a run worked on its rows, and what that took: kept in the file beside the output."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autocog_core.dataset.run_identity import Identity, add_to_identity_file, read_identity
from autocog_core.errors import InputError
from autocog_core.types.backend_info import Usage

#: How often a session is written while it goes on.
INTERVAL_SECONDS = 30.0
#: The key in the file.
SESSIONS = "sessions"


@dataclass(frozen=True, slots=True)
class RunSession:
    """The time from the start of a command to its end, or until it was interrupted.

    :ivar started: date and time in UTC, as ISO 8601.
    :ivar seconds: how long it worked on its rows.
    :ivar rows: the rows that it ran, retries included.
    :ivar usage: what the models used, by model; of the models that count it.
    :ivar program: what the program was called, such as its file; "" if it has no name.
    :ivar backend: the name of the main model's backend.
    """

    started: str
    seconds: float
    rows: int
    usage: Mapping[str, Mapping[str, int]]
    program: str = ""
    backend: str = ""


@contextmanager
def record_session(
    output: Path,
    usage: Callable[[], Mapping[str, Usage]],
    *,
    program: str,
    backend: str,
) -> Iterator[Callable[[], None]]:
    """Record the time of the block as a session, also if it ends with an error.

    The session is written after the first row, then every `INTERVAL_SECONDS`, and at the end. So a
    process that is killed loses the time since then.

    :param output: the journal of the run.
    :param usage: returns the usage so far.
    :param program: what the program is called.
    :param backend: the name of the backend.
    :returns: to be called after each row.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    start = time.perf_counter()
    rows = 0
    next_write = start

    def write() -> None:
        seconds = round(time.perf_counter() - start, 3)
        counts = {name: asdict(entry) for name, entry in usage().items()}
        session = RunSession(started, seconds, rows, counts, program, backend)
        # The rows matter more: their run does not fail for it.
        with suppress(InputError):
            before = [asdict(entry) for entry in sessions_of(read_identity(output))]
            if len(before) > kept:
                before.pop()
            add_to_identity_file(output, {SESSIONS: [*before, asdict(session)]})

    def count_row() -> None:
        nonlocal rows, next_write
        rows += 1
        if time.perf_counter() >= next_write:
            write()
            next_write = time.perf_counter() + INTERVAL_SECONDS

    kept = 0
    with suppress(InputError):
        kept = len(sessions_of(read_identity(output)))
    try:
        yield count_row
    finally:
        if rows:
            write()


def sessions_of(identity: Identity) -> list[RunSession]:
    """Return the sessions of a run; what is damaged is left out."""
    entries = identity.get(SESSIONS)
    found = map(_session, entries if isinstance(entries, list) else [])
    return [session for session in found if session is not None]


def _session(data: Any) -> RunSession | None:
    if not isinstance(data, dict):
        return None
    started, seconds, rows, usage = map(data.get, ("started", "seconds", "rows", "usage"))
    if not isinstance(started, str) or not isinstance(seconds, float) or type(rows) is not int:
        return None
    if not isinstance(usage, dict) or not all(map(_is_usage, usage.values())):
        return None
    names = [str(data.get(name, "")) for name in ("program", "backend")]
    return RunSession(started, seconds, rows, usage, *names)


def _is_usage(data: Any) -> bool:
    return isinstance(data, dict) and all(type(count) is int for count in data.values())
