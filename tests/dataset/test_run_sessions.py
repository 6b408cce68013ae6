"""The file beside a journal says when a run worked, how long, and what it used."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton
from autocog_core.dataset import Run, run_file
from autocog_core.dataset.run_identity import identity_path, read_identity
from autocog_core.dataset.run_sessions import record_session, sessions_of
from autocog_core.model.load import load
from autocog_core.types.backend_info import Usage

PROGRAM = {
    "inputs": {"text": "text"},
    "actions": [{"text": "{{ text }}"}, {"name": "x", "choices": ["a", "b"]}],
}


@pytest.fixture
def run() -> Iterator[Run]:
    with load(backend="random") as model:
        yield Run(Automaton.from_dict(PROGRAM), model, program_name="program.yaml")


def sessions(output: Path) -> list[Any]:
    return sessions_of(read_identity(output))


def test_each_command_that_runs_rows_is_a_session(run: Run, tmp_path: Path) -> None:
    source, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(f'{{"text": "{index}"}}\n' for index in range(5)))
    run_file(run, source, output, limit=2)
    run_file(run, source, output)
    # Nothing is left to do.
    run_file(run, source, output)
    assert [session.rows for session in sessions(output)] == [2, 3]
    for session in sessions(output):
        assert (session.program, session.backend, session.usage) == ("program.yaml", "random", {})
        assert session.seconds >= 0
        assert session.started.endswith("+00:00")

    def stop(progress: Any) -> None:
        if progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_file(run, source, output, overwrite=True, on_progress=stop)
    assert [session.rows for session in sessions(output)] == [1]
    run_file(run, source, output)
    assert [session.rows for session in sessions(output)] == [1, 4]


def test_a_session_is_written_while_it_goes_on(run: Run, tmp_path: Path) -> None:
    source, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "a"}\n')
    run_file(run, source, output)
    usage = {"model": Usage(requests=3)}
    with record_session(output, lambda: usage, program="", backend="b") as count_row:
        assert len(sessions(output)) == 1
        time.sleep(0.01)
        count_row()
        # As if the process were killed here.
        _, second = sessions(output)
        assert (second.rows, second.usage["model"]["requests"]) == (1, 3)
        assert second.seconds >= 0.01
        count_row()
    assert [session.rows for session in sessions(output)] == [1, 2]


@pytest.mark.parametrize("damage", [None, 3, [3], [{"started": 1}], [{"usage": {"m": 1}}]], ids=str)
def test_damaged_sessions_are_left_out(run: Run, tmp_path: Path, damage: Any) -> None:
    source, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "a"}\n{"text": "b"}\n')
    run_file(run, source, output, limit=1)
    path = identity_path(output)
    path.write_text(json.dumps({**json.loads(path.read_text()), "sessions": damage}))
    assert sessions(output) == []
    run_file(run, source, output)
    assert [session.rows for session in sessions(output)] == [1]
