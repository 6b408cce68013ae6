"""Compare the types of weights of one file on llama.cpp, in one process and in alternation.

For each type: the time of the long prompt with 8 choices (cold), of the same prompt when it is
cached, of a banking77 row, of loading it for the first and the second time, its size, and how far
its log-probabilities are from those of the file and from the exact ones (F32, exact = true).

    python benchmarks/weights_llamacpp.py banking77_test.csv [--types file auto F32] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from methods import SMOL, Item, banking77_items, long_item
from rich.console import Console
from rich.table import Table

from autocog_llamacpp import LLaMa

CONTEXT = 2048
Scores = list[float]


def open_model(weights: str, *, exact: bool = False) -> LLaMa:
    """Load the model with weights of a type."""
    return LLaMa(**LLaMa.create(model_path=SMOL, n_ctx=CONTEXT, weights=weights, exact=exact))


def timed_load(weights: str) -> tuple[float, LLaMa]:
    """Load a model; return also the seconds that it took."""
    start = time.perf_counter()
    model = open_model(weights)
    return time.perf_counter() - start, model


def score(model: LLaMa, item: Item) -> tuple[float, Scores]:
    """Return the seconds of a choose, and the scores that rank the choices."""
    start = time.perf_counter()
    result = model.choose(*item)
    return time.perf_counter() - start, [entry.exclusive_logprob for entry in result.scores]


def measure(
    models: dict[str, LLaMa], rows: Sequence[Item], rounds: int
) -> tuple[dict[str, dict[str, list[float]]], dict[str, list[Scores]]]:
    """Time all models in alternation; return their seconds, and the scores of the rows."""
    item = long_item("")
    seconds: dict[str, dict[str, list[float]]] = {
        name: {"cold": [], "cached": [], "row": []} for name in models
    }
    scores: dict[str, list[Scores]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            model.engine.clear_caches()
            seconds[name]["cold"].append(score(model, item)[0])
            seconds[name]["cached"].append(score(model, item)[0])
    for index, row in enumerate(rows):
        for name, model in models.items():
            taken, values = score(model, row)
            scores[name].append(values)
            # The first row also evaluates the header.
            if index:
                seconds[name]["row"].append(taken)
    return seconds, scores


def difference(
    scores: Sequence[Scores], expected: Sequence[Scores]
) -> tuple[float, float, int, int]:
    """Return how far scores are from others.

    :returns: the median and the largest difference of a choice's log-probability, the number of
        rows with the same pick, and of all rows.
    """
    found, exact = np.array(scores), np.array(expected)
    distance = np.abs(found - exact)
    same = int((found.argmax(axis=1) == exact.argmax(axis=1)).sum())
    return float(np.median(distance)), float(distance.max()), same, len(found)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path, help="CSV with columns text, category")
    parser.add_argument("--types", nargs="+", default=["file", "auto", "F32", "Q8_0", "Q4_0"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    rows = banking77_items(arguments.file, arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AUTOCOG_CACHE"] = folder
        first, second, models = {}, {}, {}
        for name in arguments.types:
            first[name], model = timed_load(name)
            model.close()
            second[name], models[name] = timed_load(name)
        seconds, scores = measure(models, rows, arguments.rounds)
        reference = open_model("F32", exact=True)
        exact = [score(reference, row)[1] for row in rows]
    results: dict[str, Any] = {}
    table = Table(title=f"{len(rows)} rows of banking77, {arguments.rounds} rounds")
    for column in ("weights", "cold", "ratio", "cached", "ratio", "row", "ratio"):
        table.add_column(column, justify="right")
    for column in ("MB", "load", "again", "from the file", "from exact", "same picks"):
        table.add_column(column, justify="right")
    base = arguments.types[0]
    for name, model in models.items():
        medians = {kind: statistics.median(values) for kind, values in seconds[name].items()}
        ratios = {
            kind: statistics.median(a / b for a, b in zip(values, seconds[base][kind], strict=True))
            for kind, values in seconds[name].items()
        }
        size = size_of(model)
        to_file, to_exact = difference(scores[name], scores[base]), difference(scores[name], exact)
        cells = [
            f"{value:.3f}"
            for pair in zip(medians.values(), ratios.values(), strict=True)
            for value in pair
        ]
        table.add_row(
            str(model.engine.info.details["weights"]), *cells, f"{size / 1e6:.0f}",
            f"{first[name]:.2f}", f"{second[name]:.2f}",
            f"{to_file[0]:.3g}, {to_file[1]:.3g}", f"{to_exact[0]:.3g}, {to_exact[1]:.3g}",
            f"{to_file[2]}, {to_exact[2]} of {to_file[3]}",
        )  # fmt: skip
        results[name] = {
            "seconds": medians, "ratios": ratios, "bytes": size, "first_load": first[name],
            "second_load": second[name], "to_file": to_file, "to_exact": to_exact,
            "details": dict(model.engine.info.details),
        }  # fmt: skip
    Console(width=150).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


def size_of(model: LLaMa) -> int:
    """Return the bytes of the weights."""
    import llama_cpp

    return int(llama_cpp.llama_model_size(model.engine.context.model.pointer))


if __name__ == "__main__":
    main()
