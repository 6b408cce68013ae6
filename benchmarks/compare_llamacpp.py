"""Compare autocog-llamacpp with other methods to score choices, on one file in one process.

The methods are timed in interleaved rounds; results are medians of ratios.

    python benchmarks/compare_llamacpp.py [--rounds 5] [--banking77 banking77_test.csv]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from decode_counter import DecodeCounter
from methods import SMOL, Item, Method, banking77_items, long_item, measure, report
from rich.console import Console

from autocog_core import TreeQuery
from autocog_core.config.options import package_file
from autocog_llamacpp import LLaMa

CONTEXT = 2048


def make_methods(model: LLaMa) -> dict[str, Method]:
    """Return the methods on a loaded model: token trees, and whole sequences."""
    engine = model.engine
    facade = model.as_model()

    def autocog(prompt: str, choices: Sequence[str]) -> list[float]:
        return [score.logprob for score in model.choose(prompt, choices).scores]

    def whole_per_choice(prompt: str, choices: Sequence[str]) -> list[float]:
        """Decode prompt and choice at once, without a cache, with logits only where needed."""
        base = facade.encode(prompt)
        scores = []
        for choice in choices:
            engine.clear_caches()
            tokens = facade.encode(prompt + choice)[len(base) :]
            nodes = np.array(tokens, dtype=np.int32)
            parents = np.arange(-1, len(tokens) - 1, dtype=np.int32)
            answer = facade.client.greedy_tree(
                [TreeQuery(prefix=base, tokens=nodes, parents=parents)]
            )[0]
            scores.append(float(answer.values.sum()))
        return scores

    return {
        "whole": Method("whole sequence per choice", whole_per_choice),
        "cold": Method("autocog, cold", autocog, before=engine.clear_caches),
        "cached": Method("autocog, prompt or header cached", autocog),
    }


def echo_way(path: Path, threads: int) -> Method:
    """Return the method of llama-cpp-python: a completion with echo and logprobs per choice."""
    import llama_cpp

    llama = llama_cpp.Llama(
        str(path),
        n_ctx=CONTEXT,
        logits_all=True,
        verbose=False,
        n_threads=threads,
        n_threads_batch=threads,
    )

    def run(prompt: str, choices: Sequence[str]) -> list[float]:
        scores = []
        for choice in choices:
            completion: Any = llama.create_completion(
                prompt + choice, max_tokens=1, echo=True, logprobs=1
            )
            logprobs = completion["choices"][0]["logprobs"]
            offsets = logprobs["text_offset"]
            values = [
                value
                for value, offset in zip(logprobs["token_logprobs"], offsets, strict=True)
                if len(prompt) <= offset < len(prompt + choice)
            ]
            scores.append(float(sum(values)))
        return scores

    return Method("llama-cpp-python, echo and logprobs", run)


def median_ratio(first: Method, second: Method) -> float:
    """Return the median ratio of the times of two methods."""
    pairs = zip(first.seconds, second.seconds, strict=False)
    return statistics.median(a / b for a, b in pairs)


def compare(
    title: str,
    model: LLaMa,
    counter: DecodeCounter,
    items: Sequence[Item],
    path: Path,
    *,
    echo: bool,
    by_row: bool,
) -> dict[str, Any]:
    """Time all methods on the items."""
    methods = make_methods(model)
    selected = [methods["whole"], methods["cached"]] if by_row else list(methods.values())
    model.engine.clear_caches()
    methods["cached"].run(*items[0])
    if by_row:
        # The rows' header stays cached from row to row; whole sequences would remove it.
        measure([methods["cached"]], items, counter)
        measure([methods["whole"]], items, counter)
    else:
        measure(selected, items, counter)
    results = report(Console(width=100), title, selected, methods["whole"])
    if echo:
        slow = echo_way(path, int(model.engine.info.details["threads"]))
        measure([slow], items[:1], counter)
        ratio = slow.seconds[0] / statistics.median(methods["cold"].seconds)
        print(f"{slow.name}, run once: {slow.seconds[0]:.1f} s, {ratio:.0f} times autocog, cold")
        results["echo"] = {"seconds": slow.seconds[0], "ratio": ratio}
    if not by_row:
        share = median_ratio(methods["cached"], methods["cold"])
        print(f"cached takes {share:.2f} of cold")
        results["cached of cold"] = share
    return results


def main() -> None:
    """Run the workloads of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default=SMOL, help=".gguf file, or package: file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", default="", help='JSON with "prompt" and "choices"')
    parser.add_argument("--banking77", type=Path, help="CSV with columns text, category")
    parser.add_argument("--no-echo", action="store_true", help="omit the slowest method")
    parser.add_argument("--exact", action="store_true", help="exact mode")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    name = arguments.model
    path = package_file(name) if name.startswith("package:") else Path(name)
    counter = DecodeCounter()
    created = LLaMa.create(model_path=str(path), n_ctx=CONTEXT, exact=arguments.exact)
    model = LLaMa(**created)
    print(f"{model.engine.info.name}: {dict(model.engine.info.details)}")
    item = long_item(arguments.prompt)
    count = len(model.as_model().encode(item[0]))
    title = f"{count} prompt tokens, {len(item[1])} choices ({arguments.rounds} rounds)"
    items = [item] * arguments.rounds
    results = {
        "long prompt": compare(
            title, model, counter, items, path, echo=not arguments.no_echo, by_row=False
        )
    }
    if arguments.banking77:
        rows = banking77_items(arguments.banking77, arguments.rounds)
        title = f"banking77, {len(rows[0][1])} intents ({arguments.rounds} rows)"
        results["banking77"] = compare(title, model, counter, rows, path, echo=False, by_row=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
