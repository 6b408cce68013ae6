"""Rows a second of pipeline("token-choice") by batch size, against lm-eval's HFLM on the same rows.

The same weights in the same process; ways are timed in interleaved rounds, each on rows that it has
not seen, whose header is the same. All are compared with `choose`, row by row. The rows of a batch
of lm-eval have one choice each.

    python benchmarks/pipeline_batches.py banking77_test.csv [--device cuda --dtype bfloat16]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from compare_tf import ForwardCounter, lm_eval_ways
from rich.console import Console
from rich.table import Table
from transformers import pipeline
from ways import SMOL, Item, banking77_items

import autocog_tf.pipelines  # noqa: F401 - registers the task
from autocog_core import Model
from autocog_tf import TfLM

#: Log-probabilities of all choices of each row.
Scores = list[list[float]]
Run = Callable[[Sequence[Item]], Scores]


def main() -> None:
    """Time all ways, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path, help="CSV with columns text, category")
    parser.add_argument("--model", default=SMOL, help="folder, hub name, .gguf or package: file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rows", type=int, default=32, help="of each way in each round")
    parser.add_argument("--peer-rows", type=int, default=2, help="of lm-eval in each round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    created = TfLM.create(model_path=given.model, device=given.device, dtype=given.dtype)
    engine = created["engine"]
    print(f"{engine.info.name}: {dict(engine.info.details)}")
    tokenizer = engine.tokenizer.tokenizer
    pipe = pipeline("token-choice", model=engine.model, tokenizer=tokenizer, top_k=None)
    peers = lm_eval_ways(engine.model, tokenizer)
    counter = ForwardCounter(engine.model)

    ways: dict[str, tuple[Run, int]] = {"choose": (chosen(pipe.language_model), given.rows)}
    for size in given.batches:
        ways[f"token-choice, batch {size}"] = (own(pipe, size), given.rows)
    for size in given.batches:
        if (name := f"lm-eval {size}") in peers:
            ways[peers[name].name] = (peer(peers[name].run), given.peer_rows)
    items = banking77_items(given.file, given.rounds * given.rows + given.peer_rows)
    for run, _ in ways.values():
        # Header, kernels, memory.
        run(items[-given.peer_rows :])
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    tokens: dict[str, list[float]] = {name: [] for name in ways}
    differences: dict[str, float] = dict.fromkeys(ways, 0.0)
    others: dict[str, int] = dict.fromkeys(ways, 0)
    for number in range(given.rounds):
        rows = items[number * given.rows :][: given.rows]
        reference: Scores = []
        for name, (run, count) in ways.items():
            pipe.language_model.backend.engine.forget()
            own(pipe, 1)(items[-1:])
            counter.tokens = 0
            begun = clock(engine)
            scores = run(rows[:count])
            speeds[name].append(count / (clock(engine) - begun))
            tokens[name].append(counter.tokens / count)
            reference = reference or scores
            differences[name] = max(differences[name], apart(scores, reference))
            others[name] += other_picks(scores, reference)
    report(speeds, tokens, differences, others)


def chosen(model: Model) -> Run:
    """`choose`, row by row."""
    return lambda items: [
        [score.logprob for score in model.choose(prompt, choices).scores]
        for prompt, choices in items
    ]


def own(pipe: Any, size: int) -> Run:
    """The pipeline at one batch size."""

    def run(items: Sequence[Item]) -> Scores:
        rows = [{"prompt": prompt, "choices": choices} for prompt, choices in items]
        found = pipe(rows, batch_size=size)
        return [
            [choice["logprob"] for choice in sorted(answer, key=lambda choice: choice["index"])]
            for answer in found
        ]

    return run


def peer(score: Callable[[str, Sequence[str]], list[float] | None]) -> Run:
    """lm-eval, which gets the choices of one row after the other."""
    return lambda items: [score(prompt, choices) or [] for prompt, choices in items]


def clock(engine: Any) -> float:
    """The time once the device has done what it was given."""
    if engine.forward.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def apart(scores: Scores, reference: Scores) -> float:
    """The largest difference of a choice's log-probability."""
    return max(
        abs(one - other)
        for row, expected in zip(scores, reference, strict=False)
        for one, other in zip(row, expected, strict=True)
    )


def other_picks(scores: Scores, reference: Scores) -> int:
    """In how many rows another choice is the likeliest."""
    return sum(
        row.index(max(row)) != expected.index(max(expected))
        for row, expected in zip(scores, reference, strict=False)
    )


def report(
    speeds: dict[str, list[float]],
    tokens: dict[str, list[float]],
    differences: dict[str, float],
    others: dict[str, int],
) -> None:
    """Medians, and the ratio to the best lm-eval."""
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    best = max((each for name, each in medians.items() if "lm-eval" in name), default=None)
    table = Table(title="banking77, 77 intents a row; header known")
    columns = "way", "rows/s", "tokens a row", "times lm-eval", "largest difference", "other picks"
    for column in columns:
        table.add_column(column, justify="left" if column == "way" else "right", no_wrap=True)
    for name, median in medians.items():
        ratio = f"{median / best:.1f}" if best else ""
        counted = f"{statistics.median(tokens[name]):.0f}"
        table.add_row(
            name, f"{median:.2f}", counted, ratio, f"{differences[name]:.1e}", str(others[name])
        )
    Console(width=max(110, Console().width)).print(table)


if __name__ == "__main__":
    main()
