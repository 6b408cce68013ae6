"""Measure the time between two decodes of llama.cpp: in C++, and in Python over ctypes.

    python benchmarks/native_overhead.py [--rounds N]

The model is a tiny Llama that costs almost nothing. The overhead is the time of a run minus the
time in `llama_decode`, which both implementations call with the same batches.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import llama_cpp
import tiny_llama
from rich.console import Console
from rich.table import Table

from autocog_core import Automaton
from autocog_core.automaton.actions import Choose, Complete, Text
from autocog_core.automaton.token_sets import Regex

THINGS = ("card", "transfer", "top up", "account", "cash machine", "exchange rate", "pin")
STATES = (
    "lost", "not working", "declined", "pending", "wrong amount", "charged twice", "how to get",
    "fee", "country", "cancelled", "verification",
)  # fmt: skip
#: 77 labels with shared beginnings, as in real tasks.
LABELS = tuple(f" {thing} {state}" for thing in THINGS for state in STATES)
MESSAGE = "Customer message: I think that somebody has used my card, how do I block it?\nIntent:"


class TimedDecode:
    """A wrapper of `llama_decode` that sums its time.

    :ivar seconds: time in `llama_decode` since the last reset.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._decode = llama_cpp.llama_decode
        kind = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, llama_cpp.llama_batch)
        self._function = kind(self._call)
        llama_cpp.llama_decode = self._function

    def _call(self, context: Any, batch: Any) -> int:
        start = time.perf_counter()
        code = int(self._decode(context, batch))
        self.seconds += time.perf_counter() - start
        return code


def make_beams(**options: Any) -> Automaton:
    """Return an automaton that writes 64 tokens with 4 beams."""
    complete = Complete(uid="write", length=64, beams=4, eos=False, **options)
    return Automaton([Text(uid="begin", text="Once upon a time", successors=("write",)), complete])


def make_choice() -> Automaton:
    """Return an automaton that chooses one of 77 labels after a message."""
    choose = Choose(uid="choose", choices=LABELS)
    return Automaton([Text(uid="begin", text=MESSAGE, successors=("choose",)), choose])


CASES = {
    "4 beams, 64 tokens, vocabulary 2,048": (2048, make_beams()),
    "4 beams, 64 tokens, vocabulary 131,072, masked": (
        131072,
        make_beams(vocab=Regex("[ a-zA-Z,.]+")),
    ),
    "77 labels, vocabulary 2,048": (2048, make_choice()),
    "77 labels, vocabulary 49,152": (49152, make_choice()),
}


def measure(path: Path, automaton: Automaton, rounds: int) -> dict[bool, list[float]]:
    """Return the seconds of overhead in each round, by whether C++ is used."""
    from autocog_llamacpp import LLaMa

    timed = TimedDecode()
    models = {}
    for native in (True, False):
        created = LLaMa.create(model_path=str(path), exact=True, n_threads=1, use_extension=native)
        models[native] = LLaMa(**created)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds + 1):
        for native, model in models.items():
            model.engine.clear_caches()
            timed.seconds = 0.0
            start = time.perf_counter()
            automaton.run(model.as_model())
            overhead = time.perf_counter() - start - timed.seconds
            if number:  # The first round fills the caches.
                seconds[native].append(overhead)
    for model in models.values():
        model.close()
    return seconds


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    table = Table("case", "Python, ms", "C++, ms", "Python / C++")
    with tempfile.TemporaryDirectory() as folder:
        for name, (size, automaton) in CASES.items():
            path = tiny_llama.write(Path(folder) / f"{size}.gguf", size)
            seconds = measure(path, automaton, rounds)
            python_ms, native_ms = (
                statistics.median(seconds[native]) * 1e3 for native in (False, True)
            )
            ratios = [p / n for p, n in zip(seconds[False], seconds[True], strict=True)]
            table.add_row(
                name, f"{python_ms:.2f}", f"{native_ms:.2f}", f"{statistics.median(ratios):.1f}"
            )
    Console().print(table)


if __name__ == "__main__":
    main()
