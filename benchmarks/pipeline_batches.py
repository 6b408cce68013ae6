"""Compare pipeline("token-choice") at several batch sizes with lm-eval's HFLM, in rows per second.

All methods use the same weights in the same process, and are timed in interleaved rounds on new
rows with the same header. Their scores are compared with those of `choose`. In lm-eval, each row
of a batch has one choice.

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
from compare_tf import ForwardCounter, lm_eval_methods
from methods import SMOL, Item, banking77_items
from rich.console import Console
from rich.table import Table
from transformers import pipeline

import autocog_tf.pipelines  # noqa: F401 - registers the task
from autocog_core import Model
from autocog_tf import TfLM

#: Log-probabilities of all choices of each row.
Scores = list[list[float]]
Run = Callable[[Sequence[Item]], Scores]


def main() -> None:
    """Time all methods and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path, help="CSV with columns text, category")
    parser.add_argument("--model", default=SMOL, help="folder, hub name, .gguf or package: file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rows", type=int, default=32, help="rows of each method in each round")
    parser.add_argument("--peer-rows", type=int, default=2, help="rows of lm-eval in each round")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    created = TfLM.create(
        model_path=arguments.model, device=arguments.device, dtype=arguments.dtype
    )
    engine = created["engine"]
    print(f"{engine.info.name}: {dict(engine.info.details)}")
    tokenizer = engine.tokenizer.tokenizer
    pipe = pipeline("token-choice", model=engine.model, tokenizer=tokenizer, top_k=None)
    peers = lm_eval_methods(engine.model, tokenizer)
    counter = ForwardCounter(engine.model)

    methods: dict[str, tuple[Run, int]] = {
        "choose": (make_choose(pipe.language_model), arguments.rows)
    }
    for size in arguments.batches:
        methods[f"token-choice, batch {size}"] = (make_pipeline(pipe, size), arguments.rows)
    for size in arguments.batches:
        if (name := f"lm-eval {size}") in peers:
            methods[peers[name].name] = (make_peer(peers[name].run), arguments.peer_rows)
    items = banking77_items(arguments.file, arguments.rounds * arguments.rows + arguments.peer_rows)
    for run, _ in methods.values():
        # Warm-up.
        run(items[-arguments.peer_rows :])
    speeds: dict[str, list[float]] = {name: [] for name in methods}
    tokens: dict[str, list[float]] = {name: [] for name in methods}
    differences: dict[str, float] = dict.fromkeys(methods, 0.0)
    changed: dict[str, int] = dict.fromkeys(methods, 0)
    for number in range(arguments.rounds):
        rows = items[number * arguments.rows :][: arguments.rows]
        reference: Scores = []
        for name, (run, count) in methods.items():
            pipe.language_model.backend.engine.clear_caches()
            make_pipeline(pipe, 1)(items[-1:])
            counter.tokens = 0
            start = read_clock(engine)
            scores = run(rows[:count])
            speeds[name].append(count / (read_clock(engine) - start))
            tokens[name].append(counter.tokens / count)
            reference = reference or scores
            differences[name] = max(differences[name], largest_difference(scores, reference))
            changed[name] += count_changed_picks(scores, reference)
    report(speeds, tokens, differences, changed)


def make_choose(model: Model) -> Run:
    """Return `choose`, row by row."""
    return lambda items: [
        [score.logprob for score in model.choose(prompt, choices).scores]
        for prompt, choices in items
    ]


def make_pipeline(pipe: Any, size: int) -> Run:
    """Return the pipeline at one batch size."""

    def run(items: Sequence[Item]) -> Scores:
        rows = [{"prompt": prompt, "choices": choices} for prompt, choices in items]
        answers = pipe(rows, batch_size=size)
        return [
            [choice["logprob"] for choice in sorted(answer, key=lambda choice: choice["index"])]
            for answer in answers
        ]

    return run


def make_peer(score: Callable[[str, Sequence[str]], list[float] | None]) -> Run:
    """Return lm-eval, row by row."""
    return lambda items: [score(prompt, choices) or [] for prompt, choices in items]


def read_clock(engine: Any) -> float:
    """Return the time after the device has finished its work."""
    if engine.forward.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def largest_difference(scores: Scores, reference: Scores) -> float:
    """Return the largest difference of a choice's log-probability."""
    return max(
        abs(a - b)
        for row, expected in zip(scores, reference, strict=False)
        for a, b in zip(row, expected, strict=True)
    )


def count_changed_picks(scores: Scores, reference: Scores) -> int:
    """Return the number of rows in which another choice is the likeliest."""
    return sum(
        row.index(max(row)) != expected.index(max(expected))
        for row, expected in zip(scores, reference, strict=False)
    )


def report(
    speeds: dict[str, list[float]],
    tokens: dict[str, list[float]],
    differences: dict[str, float],
    changed: dict[str, int],
) -> None:
    """Print medians, and the ratio to the fastest lm-eval."""
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    best = max((median for name, median in medians.items() if "lm-eval" in name), default=None)
    table = Table(title="banking77, 77 intents per row; header cached")
    columns = (
        "method",
        "rows/s",
        "tokens per row",
        "times lm-eval",
        "largest difference",
        "changed picks",
    )
    for column in columns:
        table.add_column(column, justify="left" if column == "method" else "right", no_wrap=True)
    for name, median in medians.items():
        ratio = f"{median / best:.1f}" if best else ""
        tokens_per_row = f"{statistics.median(tokens[name]):.0f}"
        table.add_row(
            name,
            f"{median:.2f}",
            tokens_per_row,
            ratio,
            f"{differences[name]:.1e}",
            str(changed[name]),
        )
    Console(width=max(110, Console().width)).print(table)


if __name__ == "__main__":
    main()
