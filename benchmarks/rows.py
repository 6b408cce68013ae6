"""Time and memory of a run over many tiny rows: both must grow with the rows, and no faster.

The backend is `table`; with --free, one that answers whole rows with a tree that it has, so that
nearly all of the time is that of reading, checking and writing rows. Each size runs in a process of
its own: to .csv with all probabilities, then again from a journal that was cut at the half, then
once more with nothing left to do. Times are processor seconds.

    python benchmarks/rows.py [--sizes 25000 50000 100000 200000] [--free]
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from autocog_core import Automaton, Model, ThoughtTree, hookimpl
from autocog_core.backends.table import TableLM
from autocog_core.dataset import Run, TableOptions, run_file
from autocog_core.hooks import AutomatonRun, Declined

PROGRAM = {
    "inputs": {"text": "text"},
    "actions": [{"text": "{{ text }}:"}, {"name": "topic", "choices": [" a", " b"]}],
}


class FreeLM(TableLM):
    """Answers whole rows at once, for nothing."""

    tree: ThoughtTree | None = None

    @hookimpl
    def run_automata(self, runs: Sequence[AutomatonRun]) -> Sequence[ThoughtTree] | Declined:
        """Return the tree, if it has one."""
        return Declined("it has no tree") if self.tree is None else [self.tree] * len(runs)


ALL = TableOptions(probs="all")


def main() -> None:
    """Print a line for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[25_000, 50_000, 100_000, 200_000])
    parser.add_argument("--free", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        measure(arguments.one, arguments.free)
        return
    print("   rows   whole run   ms/row   model alone   second half   nothing left   peak memory")
    for size in arguments.sizes:
        command = [sys.executable, __file__, "--one", str(size)]
        command += ["--free"] if arguments.free else []
        subprocess.run(command, check=True)  # noqa: S603


def measure(size: int, is_free: bool) -> None:
    """Run over so many rows, and print the figures."""
    backend = FreeLM(rows={})
    automaton = Automaton.from_dict(PROGRAM)
    with tempfile.TemporaryDirectory() as name, Model(backend) as model:
        if is_free:
            backend.tree = automaton.run(model, {"text": "Row"})
        folder = Path(name)
        source, output = folder / "rows.csv", folder / "out.csv"
        with source.open("w") as stream:
            stream.write("id,text\n")
            stream.writelines(f"{row},Row {row}\n" for row in range(size))
        run = Run(automaton, model)
        whole = time_run(run, source, output)
        finished = file_hash(output)
        cut_at_row(folder / "out.csv.rows.jsonl", size // 2)
        half = time_run(run, source, output)
        assert file_hash(output) == finished
        nothing = time_run(run, source, output)
        start = time.process_time()
        texts = ({"text": f"Row {row}"} for row in range(min(size, 5_000)))
        trees = sum(1 for _ in run.automaton.run_many(model, texts))
        alone = (time.process_time() - start) / trees
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{size:7,} {whole:9.1f} s {whole / size * 1000:8.2f} {alone * 1000:10.2f} ms"
        f" {half:11.1f} s {nothing:12.1f} s {peak:9.0f} MiB",
        flush=True,
    )


def time_run(run: Run, source: Path, output: Path) -> float:
    """Return the processor seconds of a run: other programs do not count."""
    start = time.process_time()
    run_file(run, source, output, options=ALL)
    return time.process_time() - start


def cut_at_row(journal: Path, row: int) -> None:
    """Cut a journal inside a row, as a kill does."""
    with journal.open("r+b") as stream:
        for _ in range(row):
            stream.readline()
        stream.truncate(stream.tell() + 20)


def file_hash(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


if __name__ == "__main__":
    main()
