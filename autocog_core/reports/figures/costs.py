"""What a run took: tokens and time."""

from __future__ import annotations

from collections import Counter

from autocog_core.reports.figures.definitions import Costs
from autocog_core.reports.figures.run_columns import RunColumns


def costs_of(run: RunColumns) -> Costs:
    """Return the tokens of a run's rows, and the time and usage of its sessions."""
    tokens = sum(answer.tokens for answer in run.answers)
    succeeded = sum(not answer.error for answer in run.answers)
    sessions = run.sessions
    seconds = sum(session.seconds for session in sessions) if sessions else None
    timed = sum(session.rows for session in sessions)
    usage: dict[str, Counter[str]] = {}
    for session in sessions:
        for model, counts in session.usage.items():
            usage.setdefault(model, Counter()).update(counts)
    return Costs(
        tokens=tokens,
        tokens_per_row=tokens / succeeded if succeeded else None,
        seconds=seconds,
        timed_rows=timed,
        seconds_per_row=seconds / timed if seconds is not None and timed else None,
        usage={model: dict(counts) for model, counts in usage.items()},
    )
