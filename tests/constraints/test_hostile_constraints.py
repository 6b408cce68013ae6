"""Hostile constraints get one clear message, in bounded time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.constraints.hostile_constraints import EXPENSIVE, REFUSED
from tests.support.processes import child_environment

#: Of processor time, for the checks and the call together.
MAX_SECONDS = 3


def test_hostile_constraints_get_one_message_in_bounded_time_and_memory(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.constraints.hostile_constraints"],
        cwd=tmp_path,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    results = list(map(json.loads, done.stdout.splitlines()))
    assert [name for name, _, _ in results] == [*REFUSED, *EXPENSIVE], done.stderr
    assert {name: seconds for name, seconds, _ in results if seconds > MAX_SECONDS} == {}
    for name, _, messages in results[: len(REFUSED)]:
        for message in messages:
            assert REFUSED[name][2] in message, (name, message)
            assert len(message.splitlines()) == 1
            assert len(message) < 400
    for name, _, (check, command, message) in results[len(REFUSED) :]:
        assert (check, command) == ("", ""), name
        assert len(message) < 400
        assert len(message.splitlines()) <= 1
