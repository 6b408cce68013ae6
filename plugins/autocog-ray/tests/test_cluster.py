"""Two nodes on one computer: whatever is killed, the output has each row once, in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import autocog_core as autocog
from autocog_core.dataset import Run, run_file
from tests.support.processes import child_environment

pytestmark = pytest.mark.soak

PROGRAM = {
    "inputs": {"text": "text"},
    "actions": [
        {"text": "{{ text }}:"},
        {"name": "answer", "choices": ["a", "b", "several words for more tokens"]},
    ],
}
ROWS = 1500
SECONDS = 120.0


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 3})
    yield cluster
    cluster.shutdown()


class Command:
    """`autocog run` on the cluster, which may be killed and started again."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address
        self.start()

    def start(self) -> None:
        script = "from autocog_core.cli.main import main; main()"
        command = [sys.executable, "-c", script, "run", "program.json", "--input", "rows.jsonl"]
        command += ["--output", "out.jsonl", "--backend", "random", "--option", "seed=5"]
        command += ["--runner", "ray", "--workers", "4", "--address", self.address]
        with (self.folder / "log.txt").open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=child_environment(), stdout=log, stderr=log
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def rows(self) -> int:
        output = self.folder / "out.jsonl"
        return output.read_bytes().count(b"\n") if output.exists() else 0

    def wait_for(self, rows: int) -> None:
        """Wait until the output has so many rows."""
        deadline = time.monotonic() + SECONDS
        while self.rows() < rows:
            log = (self.folder / "log.txt").read_text()
            assert self.process.poll() in (None, 0), log
            assert time.monotonic() < deadline, log
            time.sleep(0.02)


def kill_a_worker() -> None:
    """Kill a process of a worker; these have the names of their actors."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for child in psutil.Process(os.getpid()).children(recursive=True):
            try:
                if "RowActor" in " ".join(child.cmdline()):
                    child.kill()
                    return
            except psutil.Error:
                continue
        time.sleep(0.1)
    raise AssertionError("no worker is there")


def test_workers_a_node_and_the_command_are_killed(cluster: Any, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=3)
    (tmp_path / "program.json").write_text(json.dumps(PROGRAM))
    lines = [json.dumps({"text": f"No {number}"}) for number in range(ROWS)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    command = Command(tmp_path, cluster.address)
    for number in range(5):
        command.wait_for(50 * (number + 1))
        kill_a_worker()
    command.wait_for(350)
    cluster.remove_node(node)
    for rows in (500, 700):
        command.wait_for(rows)
        command.kill()
        command.start()
    command.wait_for(ROWS)
    assert command.process.wait(SECONDS) == 0
    with autocog.load(backend="random", options={"seed": 5}) as model:
        run = Run(autocog.Automaton.from_dict(PROGRAM), model)
        run_file(run, tmp_path / "rows.jsonl", tmp_path / "expected.jsonl")
    assert "raylet" not in (tmp_path / "log.txt").read_text()
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "expected.jsonl").read_bytes()
