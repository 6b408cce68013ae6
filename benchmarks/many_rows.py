"""The best choices of many rows at once (`choose_many(top=1)`), against row by row.

The rows are those of banking77, with 77 intents each and a cached header. Each step of the searches
of all rows is one call of the engine, so many rows need few forwards or decodes. Both ways
alternate in one process; results are medians.

    python benchmarks/many_rows.py banking77_test.csv [--backend llamacpp] [--rows 32]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

from methods import SMOL, banking77_items

from autocog_core import load


def main() -> None:
    """Time both ways and print their numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path, help="CSV with columns text, category")
    parser.add_argument("--backend", default="tf", choices=("tf", "llamacpp"))
    parser.add_argument("--model", default=SMOL)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    items = banking77_items(arguments.file, arguments.rows)
    choices = items[0][1]
    prompts = [prompt for prompt, _ in items]
    # It must be there before llama.cpp's model is loaded, and Transformers' network after.
    counter: Any = None
    if arguments.backend == "llamacpp":
        from decode_counter import DecodeCounter

        counter = DecodeCounter()
    with load(backend=arguments.backend, options={"model_path": arguments.model}) as model:
        engine = model._backend.engine  # type: ignore[attr-defined]
        if counter is None:
            from compare_tf import ForwardCounter

            counter = ForwardCounter(engine.model)
        header = model.encode(prompts[0].split("Message:")[0])
        measured: dict[str, list[tuple[float, int, int]]] = {}
        picks: dict[str, list[int]] = {}
        steps: dict[str, list[int]] = {}
        for _ in range(arguments.rounds + 1):
            for way in ("together", "row by row"):
                engine.clear_caches()
                model.client.greedy(header)
                counter.calls = counter.tokens = 0
                start = time.perf_counter()
                if way == "together":
                    results = model.choose_many(prompts, choices, top=1)
                else:
                    results = [model.choose(prompt, choices, top=1) for prompt in prompts]
                seconds = time.perf_counter() - start
                measured.setdefault(way, []).append((seconds, counter.calls, counter.tokens))
                picks[way] = [result.index for result in results]
                steps[way] = [result.steps for result in results]
    # The first round warms up.
    numbers: dict[str, Any] = {"backend": arguments.backend, "rows": len(prompts)}
    for way, rounds in measured.items():
        seconds, calls, tokens = (
            statistics.median(column) for column in zip(*rounds[1:], strict=True)
        )
        numbers[way] = {"seconds": seconds, "evaluations": calls, "tokens": tokens}
        speed = len(prompts) / seconds
        print(f"{way}: {speed:.2f} rows a second, {calls} evaluations, {tokens} tokens")
    ratios = [
        b[0] / a[0]
        for a, b in zip(measured["together"][1:], measured["row by row"][1:], strict=True)
    ]
    numbers["times row by row"] = statistics.median(ratios)
    numbers["steps of a row"] = statistics.mean(steps["row by row"])
    numbers["steps together"] = max(steps["together"])
    same = sum(a == b for a, b in zip(picks["together"], picks["row by row"], strict=True))
    numbers["same pick"] = same
    print(
        f"together is {numbers['times row by row']:.2f} times as fast; {same} picks of "
        f"{len(prompts)} are the same; one row takes {numbers['steps of a row']:.1f} steps, "
        f"all together take {numbers['steps together']}"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
