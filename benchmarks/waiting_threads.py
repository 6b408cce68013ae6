"""What waiting threads cost: an engine's processes alone, beside busy processes, and side by side.

OpenMP reads how its threads wait when it is loaded. So each way of waiting has worker processes of
its own. They take turns in interleaved rounds; results are medians.

    python benchmarks/waiting_threads.py [--engine llamacpp] [--rounds 5] [--ways passive 300000]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from methods import SMOL, long_item
from rich.console import Console
from rich.table import Table

#: How often GNU's OpenMP looks before a thread sleeps, if nothing is set.
LIBRARY_DEFAULT = "300000"
#: Sizes of the small steps, in tokens.
STEPS = (1, 2, 4, 8)
VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")


def environment(way: str) -> dict[str, str]:
    """Return the environment of a way: "passive", "plugin" (its own default), or a spin count."""
    variables = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    if way == "passive":
        variables["OMP_WAIT_POLICY"] = "passive"
    elif way != "plugin":
        variables["GOMP_SPINCOUNT"] = way
    return variables


class Worker:
    """A process with a loaded model, which times the tasks that it receives."""

    def __init__(self, way: str, options: Sequence[str]) -> None:
        self.way = way
        command = [sys.executable, __file__, "--worker", *options]
        self.process = subprocess.Popen(  # noqa: S603
            command,
            env=environment(way),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.receive()

    def send(self, task: str) -> None:
        """Start a task; its time is the next answer."""
        assert self.process.stdin
        print(task, file=self.process.stdin, flush=True)

    def receive(self) -> float:
        """Return the next answer: seconds."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended: {self.way}")
        return float(line)

    def run(self, task: str) -> float:
        """Return the seconds of a task."""
        self.send(task)
        return self.receive()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=60)


@contextmanager
def busy_processors() -> Iterator[None]:
    """Keep each processor busy with one process."""
    loads = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        time.sleep(0.3)
        yield
    finally:
        for load in loads:
            load.kill()
            load.wait()


def make_tasks(engine: str, options: dict[str, Any]) -> dict[str, Callable[[], None]]:
    """Load a model, and return its tasks by their names."""
    from autocog_core import TreeQuery

    backend: Any = import_module(f"autocog_{engine}")
    backend_class = backend.LLaMa if engine == "llamacpp" else backend.TfLM
    backend = backend_class(**backend_class.create(**options))
    model = backend.as_model()
    prompt, choices = long_item("")
    base = model.encode(prompt)
    random = np.random.default_rng(0)

    def cold() -> None:
        backend.engine.clear_caches()
        model.choose(prompt, choices)

    def step(size: int) -> Callable[[], None]:
        def run() -> None:
            # `size` tokens after the cached prompt, each with a child, whose row is read.
            ids = random.choice(np.arange(1000, 40_000), size, replace=False)
            tokens = np.concatenate([ids, ids]).astype(np.int32)
            parents = np.concatenate([np.full(size, -1), np.arange(size)]).astype(np.int32)
            query = TreeQuery(prefix=base, tokens=tokens, parents=parents)
            model.client.greedy_tree([query])

        return run

    cached = lambda: model.choose(prompt, choices)  # noqa: E731
    tasks: dict[str, Callable[[], Any]] = {"cold": cold, "cached": cached}
    tasks |= {f"step {size}": step(size) for size in STEPS}
    cold()
    for task in tasks.values():
        task()
    return tasks


def work(engine: str, options: dict[str, Any]) -> None:
    """Answer tasks from stdin with their seconds."""
    warnings.simplefilter("ignore")
    tasks = make_tasks(engine, options)
    print(0, flush=True)
    for line in sys.stdin:
        name, _, times = line.strip().partition("*")
        start = time.perf_counter()
        for _ in range(int(times or 1)):
            tasks[name]()
        print((time.perf_counter() - start) / int(times or 1), flush=True)


def both(first: Worker, second: Worker, task: str) -> tuple[float, float]:
    """Return the seconds of both workers one after the other, and side by side."""
    one_by_one = first.run(task) + second.run(task)
    start = time.perf_counter()
    for worker in (first, second):
        worker.send(task)
    for worker in (first, second):
        worker.receive()
    return one_by_one, time.perf_counter() - start


def compare(
    engine: str, ways: Sequence[str], rounds: int, options: Sequence[str]
) -> dict[str, Any]:
    """Time all ways in interleaved rounds, and print the table."""
    tasks = ["cold", "cached", *(f"step {size}*3" for size in STEPS)]
    seconds: dict[tuple[str, str], list[float]] = {}

    def note(way: str, name: str, value: float) -> None:
        seconds.setdefault((way, name), []).append(value)
        print(f"{way}: {name} {value:.4f}", file=sys.stderr, flush=True)

    with ExitStack() as stack:
        workers = {way: [Worker(way, options), Worker(way, options)] for way in ways}
        for pair in workers.values():
            for worker in pair:
                stack.callback(worker.close)
        for _ in range(rounds):
            for task in tasks:
                for way, (worker, _) in workers.items():
                    note(way, task, worker.run(task))
            with busy_processors():
                for task in ("cold", "cached"):
                    for way, (worker, _) in workers.items():
                        note(way, f"{task}, busy", worker.run(task))
            for way, pair in workers.items():
                one_by_one, side_by_side = both(*pair, "cached")
                note(way, "side by side / one by one", side_by_side / one_by_one)
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    table = Table(title=f"{engine}, {rounds} rounds: milliseconds, and ratios")
    table.add_column("")
    for way in ways:
        table.add_column(way, justify="right")
    for name in dict.fromkeys(name for _, name in medians):
        cells = [medians[way, name] for way in ways]
        shown = [f"{cell:.2f}" if "/" in name else f"{1000 * cell:.1f}" for cell in cells]
        table.add_row(name.removesuffix("*3"), *shown)
    for name in ("cold", "cached"):
        ratios = [medians[way, f"{name}, busy"] / medians[way, name] for way in ways]
        table.add_row(f"{name}, busy / alone", *(f"{r:.2f}" for r in ratios))
    Console(width=120).print(table)
    return {f"{way}: {name}": value for (way, name), value in medians.items()}


def main() -> None:
    """Run the comparison of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--engine", default="llamacpp", choices=["llamacpp", "tf"])
    parser.add_argument("--model", default=SMOL, help=".gguf file, or package: file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", nargs="+", default=[LIBRARY_DEFAULT, "plugin", "passive"])
    parser.add_argument("--json", help="also write the medians to this file")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    options = {"model_path": arguments.model}
    if arguments.engine == "llamacpp":
        options["n_ctx"] = 2048
    if arguments.worker:
        work(arguments.engine, options)
        return
    passed = ["--engine", arguments.engine, "--model", arguments.model]
    results = compare(arguments.engine, arguments.ways, arguments.rounds, passed)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as stream:
            json.dump(results, stream, indent=1)


if __name__ == "__main__":
    main()
