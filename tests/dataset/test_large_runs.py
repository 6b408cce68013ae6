"""Runs of many rows: memory stays level, time grows with the rows, and resuming takes no time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT
from tests.support.soak import SOAK, count

#: The second run has ten times the rows of the first one.
FEW = count(normal=200, soak=20_000)
MANY = 10 * FEW
WORK = """
import json, resource, sys, time, warnings
from pathlib import Path
from autocog_core import Automaton, Model
from autocog_core.backends.random import RandomLM
from autocog_core.dataset import Run, run_file, written_rows
from autocog_core.dataset.expected import Gold

class Killed(BaseException):
    pass

source, output, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
written_rows.CHECKPOINT_ROWS = int(sys.argv[4])
warnings.simplefilter("ignore")
automaton = Automaton.from_dict({
    "inputs": {"text": "text"},
    "actions": [{"text": "{{ text }}:"}, {"name": "topic", "choices": [" a", " b"]}],
})
model = Model(RandomLM(seed=3))
run = Run(automaton, model, gold=Gold.parse("right", automaton))
start, first = time.process_time(), None

def watch(progress):
    global first
    if first is None and progress.done > progress.resumed:
        first = time.process_time() - start
    if progress.done == last:
        raise Killed

try:
    rows = run_file(run, source, output, on_progress=watch).rows
except Killed:
    rows = last
seconds = time.process_time() - start
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rows": rows, "first": first, "seconds": seconds, "megabytes": memory}))
"""


def run_rows(folder: Path, rows: int, last: int = -1) -> dict[str, Any]:
    source = folder / f"{rows}.csv"
    with source.open("w") as stream:
        stream.write("text,right\n")
        stream.writelines(f"row {number} of many,{'ab'[number % 2]}\n" for number in range(rows))
    output = folder / f"{rows}.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", WORK, str(source), str(output), str(last), str(FEW // 20)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no memory of a process")
@pytest.mark.timeout(count(600, 20_000))
def test_memory_is_level_and_resuming_is_quick(tmp_path: Path) -> None:
    few = run_rows(tmp_path, FEW)
    killed = run_rows(tmp_path, MANY, last=9 * MANY // 10)
    resumed = run_rows(tmp_path, MANY)
    assert resumed["rows"] == MANY
    assert max(killed["megabytes"], resumed["megabytes"]) < 1.2 * few["megabytes"]
    # A tenth of the rows is left. What is before them is neither run nor read again.
    assert resumed["seconds"] < 0.25 * killed["seconds"]
    assert resumed["first"] < 10
    # Processor time grows with the rows; the start of the few ones counts, too.
    assert killed["seconds"] < 1.3 * 9 * few["seconds"]


@pytest.mark.soak
@pytest.mark.skipif(not SOAK, reason="takes half an hour")
@pytest.mark.timeout(20_000)
def test_a_million_rows(tmp_path: Path) -> None:
    few = run_rows(tmp_path, FEW)
    killed = run_rows(tmp_path, 1_000_000, last=900_000)
    resumed = run_rows(tmp_path, 1_000_000)
    assert resumed["rows"] == 1_000_000
    assert max(killed["megabytes"], resumed["megabytes"]) < 1.2 * few["megabytes"]
    assert resumed["first"] < 10
