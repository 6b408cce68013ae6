"""Compare runners with one process: rows of banking77 in worker processes, or in this one.

Each of two workers has one thread, this process has two. They alternate in blocks of rows; all
choices of each message are scored, after a common header.

    env -u OMP_NUM_THREADS python benchmarks/runners.py banking77_test.csv [--runner ray]
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from pathlib import Path
from typing import Any

from methods import SMOL

from autocog_core import Automaton, load, silence
from autocog_core.dataset import Row, Run
from autocog_core.runners import ModelReferences, RunnerRun, load_runner

WORKERS = 2
#: A batch of 8 rows for each worker.
BLOCK_ROWS = 16


def main() -> None:
    """Time both on each block, and print rates, start and stop times and differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--runner", default="ray")
    parser.add_argument("--blocks", type=int, default=4)
    arguments = parser.parse_args()
    silence("choice-lengths-differ")
    messages, automaton = read_messages(arguments.file)
    blocks = [
        [Row(index, {"text": messages[index]}) for index in range(start, start + BLOCK_ROWS)]
        for start in range(0, arguments.blocks * BLOCK_ROWS, BLOCK_ROWS)
    ]
    options = {"model_path": SMOL, "device": "cpu", "n_threads": 1}
    models = ModelReferences.of_backend("tf", options)
    start = time.perf_counter()
    run = RunnerRun(automaton, models, load_runner(arguments.runner, workers=WORKERS))
    with load(backend="tf", options={**options, "n_threads": WORKERS}) as model:
        local = Run(automaton, model)
        print(f"this process: started in {time.perf_counter() - start:.1f} s")
        start = time.perf_counter()
        with run:
            print(f"{arguments.runner}: started in {time.perf_counter() - start:.1f} s")
            compare(local, run, blocks)
            start = time.perf_counter()
        print(f"{arguments.runner}: stopped in {time.perf_counter() - start:.1f} s")


def read_messages(file: Path) -> tuple[list[str], Automaton]:
    """Return every tenth message, and the program."""
    with file.open(newline="", encoding="utf-8") as stream:
        entries = list(csv.DictReader(stream))
    intents = sorted({entry["category"] for entry in entries})
    actions: list[dict[str, Any]] = [
        {"text": "A customer of a bank writes: {{ text }}\nThe message is about"},
        {
            "name": "intent",
            "choices": [" " + intent.replace("_", " ") for intent in intents],
            "width": 1,
        },
    ]
    program = {"inputs": {"text": "text"}, "actions": actions}
    return [entry["text"] for entry in entries[::10]], Automaton.from_dict(program)


def compare(local: Run, run: RunnerRun, blocks: list[list[Row]]) -> None:
    """Run each block here and by the runner; print rates and differences."""
    seconds = [0.0, 0.0]
    ratios: list[float] = []
    picks, difference = 0, 0.0
    # The first rows of both fill caches.
    for each in (local, run):
        list(each.output_rows(blocks[0]))
    for number, block in enumerate(blocks):
        results: list[Any] = [None, None]
        before = list(seconds)
        for which in (0, 1) if number % 2 else (1, 0):
            start = time.perf_counter()
            results[which] = list((local, run)[which].output_rows(block))
            seconds[which] += time.perf_counter() - start
        here, there = (after - earlier for after, earlier in zip(seconds, before, strict=True))
        ratios.append(here / there)
        for row, other in zip(*results, strict=True):
            picks += row["fields"] == other["fields"]
            shares = row["distribution"]["intent"]
            difference = max(
                difference,
                abs(row["logprob"] - other["logprob"]),
                *(abs(shares[key] - other["distribution"]["intent"][key]) for key in shares),
            )
        rows = sum(map(len, blocks[: number + 1]))
        rates = [rows / each for each in seconds]
        print(f"this process: {rates[0]:.2f} rows/s; {WORKERS} workers: {rates[1]:.2f} rows/s")
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"ratio by block: {shown}; median {statistics.median(ratios):.2f}")
        print(f"{picks} of {rows} picks equal; largest difference {difference:.1e}", flush=True)


if __name__ == "__main__":
    main()
