"""Measure what constraints cost in whole runs, beside the model's own time.

    python benchmarks/constrained_runs.py [--rounds 9] [--engine tf] [--beams 1]

The time of a run in which the model does not compute is the overhead. It is measured in the same
runs as the model's time, so that other load on the machine changes both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from constraints import INVOICE, PERSON
from methods import SMOL
from native_overhead import TimedDecode
from rich.console import Console
from rich.table import Table

from autocog_core import Automaton, Choose, Complete, Record, Text, ThoughtTree

NOTE = (
    "Grace Hopper is 85 years old and lives in New York. She ordered 12 brass screws and a rope; "
    "the invoice AB-1024 is over 129.50 EUR and not paid yet.\n"
)
#: The beginning of the program with a record.
EXAMPLE = (
    "Invoice: Hotel Maple asks 189.50 USD for 2 nights. The bill is still open.\n"
    '{"seller": "Hotel Maple", "item": "night", "count": 2, "currency": "USD", "total": 189.5, '
    '"paid": false}\n'
    "Invoice: Northern Rail sold 3 tickets for 64.50 GBP, paid by card.\n"
)
#: The labels of the program with a choice.
LABELS = (" invoice", " letter", " order", " complaint", " question", " offer", " report", " note")
LENGTH = 64
#: The constraints, by the name in the table.
CONSTRAINTS: dict[str, dict[str, Any]] = {
    "none": {},
    "regex, anything": {"regex": "(?s:.*)"},
    "regex, a sentence": {"regex": r" [A-Z][a-z]+( [a-z]+){3,30}\."},
    "schema, a person": {"json_schema": json.loads(PERSON)},
    "schema, an invoice": {"json_schema": json.loads(INVOICE)},
}


class TimedForward:
    """The time of a network's forwards.

    :ivar seconds: since the last reset.
    """

    def __init__(self, network: Any) -> None:
        self.seconds = self._start = 0.0
        network.register_forward_pre_hook(self._begin)
        network.register_forward_hook(self._end)

    def _begin(self, *_: Any) -> None:
        self._start = time.perf_counter()

    def _end(self, *_: Any) -> None:
        self.seconds += time.perf_counter() - self._start


def load_engine(name: str) -> tuple[Any, TimedDecode | TimedForward]:
    """Return SmolLM2 on an engine, and what times its network."""
    if name == "tf":
        from autocog_tf import TfLM

        tf_model = TfLM(**TfLM.create(model_path=SMOL))
        return tf_model, TimedForward(tf_model.engine.model)
    from autocog_llamacpp import LLaMa

    # Before the model: it looks the function up.
    timed = TimedDecode()
    return LLaMa(**LLaMa.create(model_path=SMOL, n_ctx=2048)), timed


def make_automaton(constraint: dict[str, Any], *, choice: bool, beams: int = 1) -> Automaton:
    """Return an automaton that writes after a note, and maybe chooses before."""
    complete = Complete(uid="write", length=LENGTH, beams=beams, **constraint)
    text = Text(uid="note", text=NOTE + "Kind:", successors=("choose",))
    if not choice:
        return Automaton([Text(uid="note", text=NOTE, successors=("write",)), complete])
    return Automaton([text, Choose(uid="choose", choices=LABELS, successors=("write",)), complete])


def record_automaton(beams: int) -> Automaton:
    """Return an automaton that writes a record of six fields after an example and a note."""
    schema = {
        "type": "object",
        "properties": {
            "seller": {"type": "string", "maxLength": 30},
            "item": {"type": "string", "maxLength": 30},
            "count": {"type": "integer", "minimum": 1, "maximum": 99},
            "currency": {"enum": ["EUR", "GBP", "USD"]},
            "total": {"type": "number", "minimum": 0},
            "paid": {"type": "boolean"},
        },
        "required": ["seller", "item", "count", "currency", "total", "paid"],
    }
    record = Record(uid="invoice", schema=schema, beams=beams)
    return Automaton([Text(uid="note", text=EXAMPLE, successors=("invoice",)), record])


@contextmanager
def core_only() -> Iterator[None]:
    """Have core run automata, as if the engine had declined them."""
    with patch("autocog_llamacpp.extension.runs.unsupported_feature", return_value="benchmark"):
        yield


class Runs:
    """Runs of an automaton, and their times.

    :ivar overheads: seconds of each run outside the network.
    :ivar ratios: time of each run over its time in the network.
    """

    def __init__(self, automaton: Automaton, *, in_core: bool = False) -> None:
        self._automaton = automaton
        self._in_core = in_core
        self.overheads: list[float] = []
        self.ratios: list[float] = []
        self.tree: ThoughtTree | None = None

    def run(self, model: Any, timed: TimedDecode | TimedForward) -> None:
        """Run once from empty caches."""
        model.engine.clear_caches()
        facade = model.as_model()
        timed.seconds = 0.0
        start = time.perf_counter()
        if self._in_core:
            with core_only():
                self.tree = self._automaton.run(facade)
        else:
            self.tree = self._automaton.run(facade)
        seconds = time.perf_counter() - start
        self.overheads.append(seconds - timed.seconds)
        self.ratios.append(seconds / timed.seconds)

    def row(self) -> list[str]:
        """Return the columns of a table: tokens, calls, milliseconds a call, ratio."""
        assert self.tree is not None
        stats = self.tree.stats
        calls = stats["model_calls"]
        # The first round fills the caches.
        overhead = statistics.median(self.overheads[1:])
        return [
            str(stats["tokens_evaluated"]),
            str(calls),
            f"{overhead / calls * 1e3:.2f}",
            f"{statistics.median(self.ratios[1:]):.3f}",
        ]


def show(
    title: str, runs: dict[str, Runs], rounds: int, model: Any, timed: TimedDecode | TimedForward
) -> None:
    """Run all in interleaved rounds, and print a table."""
    for _ in range(rounds + 1):
        for each in runs.values():
            each.run(model, timed)
    table = Table("run", title=title)
    for column in ("tokens", "calls", "overhead a call, ms", "time / network's"):
        table.add_column(column, justify="right")
    for name, each in runs.items():
        table.add_row(name, *each.row())
    Console(width=100).print(table)


def main() -> None:
    """Print the tables of each engine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--engine", action="append", choices=("llamacpp", "tf"))
    parser.add_argument("--beams", action="append", type=int)
    arguments = parser.parse_args()
    for name in arguments.engine or ("llamacpp", "tf"):
        model, timed = load_engine(name)
        print(f"{name}: {dict(model.engine.info.details)}")
        for beams in arguments.beams or (1, 4):
            runs = {
                label: Runs(
                    make_automaton(constraint, choice=False, beams=beams),
                    in_core=name == "llamacpp",
                )
                for label, constraint in CONSTRAINTS.items()
            }
            runs["record, six fields"] = Runs(record_automaton(beams), in_core=name == "llamacpp")
            show(f"{name}, in core, beams={beams}", runs, arguments.rounds, model, timed)
        if name == "llamacpp":
            free, constrained = (
                make_automaton(CONSTRAINTS[label], choice=True)
                for label in ("none", "schema, an invoice")
            )
            runs = {
                "no constraint, in C++": Runs(free),
                "no constraint, in core": Runs(free, in_core=True),
                "schema, which C++ declines": Runs(constrained),
            }
            title = f"A choice of {len(LABELS)} labels and a completion"
            show(title, runs, arguments.rounds, model, timed)
        model.close()


if __name__ == "__main__":
    main()
