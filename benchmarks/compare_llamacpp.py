"""autocog-llamacpp against other ways to score choices with llama.cpp: one process, one file.

Ways are timed in interleaved rounds and compared by medians, as ratios: machines are noisy.

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
from rich.console import Console
from ways import SMOL, Item, Way, banking77_items, long_item, measure, report

from autocog_core import TreeQuery
from autocog_core.config.options import package_file
from autocog_llamacpp import LLaMa

CONTEXT = 2048


class DecodeCounter:
    """Counts the tokens of all decodes of a context."""

    def __init__(self, context: Any) -> None:
        self.tokens = 0
        decode = context.decode

        def counting(tokens: Any, *arguments: Any) -> Any:
            self.tokens += len(tokens)
            return decode(tokens, *arguments)

        context.decode = counting


def ways_of(model: LLaMa) -> dict[str, Way]:
    """Ways over the model that is loaded: trees, and each choice with its whole prompt."""
    engine = model.engine
    facade = model.as_model()

    def autocog(prompt: str, choices: Sequence[str]) -> list[float]:
        return [score.logprob for score in model.choose(prompt, choices).scores]

    def whole_per_choice(prompt: str, choices: Sequence[str]) -> list[float]:
        """Prompt and choice in one decode, logits only where they are read; nothing is kept."""
        base = facade.encode(prompt)
        found = []
        for choice in choices:
            engine.forget()
            tokens = facade.encode(prompt + choice)[len(base) :]
            nodes = np.array(tokens, dtype=np.int32)
            parents = np.arange(-1, len(tokens) - 1, dtype=np.int32)
            answer = facade.client.greedy_tree([TreeQuery(base, nodes, parents)])[0]
            found.append(float(answer.values.sum()))
        return found

    return {
        "whole": Way("whole sequence per choice", whole_per_choice),
        "cold": Way("autocog, cold", autocog, before=engine.forget),
        "cached": Way("autocog, prompt or header cached", autocog),
    }


def echo_way(path: Path, threads: int) -> Way:
    """llama-cpp-python's own: a completion with echo and logprobs for each choice."""
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
        found = []
        for choice in choices:
            done: Any = llama.create_completion(
                prompt + choice, max_tokens=1, echo=True, logprobs=1
            )
            logprobs = done["choices"][0]["logprobs"]
            begins = logprobs["text_offset"]
            picked = [
                value
                for value, begin in zip(logprobs["token_logprobs"], begins, strict=True)
                if len(prompt) <= begin < len(prompt + choice)
            ]
            found.append(float(sum(picked)))
        return found

    return Way("llama-cpp-python, echo and logprobs", run)


def guidance_way(path: Path, threads: int) -> Way:
    """Guidance's `select`: picks token by token, and gives no scores."""
    from guidance import models, select

    language_model = models.LlamaCpp(
        str(path), n_ctx=CONTEXT, echo=False, n_threads=threads, n_threads_batch=threads
    )

    def run(prompt: str, choices: Sequence[str]) -> None:
        str(language_model + prompt + select(list(choices)))

    return Way("guidance select (no scores)", run)


def over(first: Way, second: Way) -> float:
    """The median ratio of two ways' times."""
    pairs = zip(first.seconds, second.seconds, strict=False)
    return statistics.median(one / other for one, other in pairs)


def compare(
    title: str, model: LLaMa, items: Sequence[Item], path: Path, *, echo: bool, by_row: bool
) -> dict[str, Any]:
    """Time all ways on the items."""
    counter = DecodeCounter(model.engine.context)
    ways = ways_of(model)
    picked = [ways["whole"], ways["cached"]] if by_row else list(ways.values())
    threads = int(model.engine.info.details["threads"])
    others = [guidance_way(path, threads)]
    model.engine.forget()
    ways["cached"].run(*items[0])
    if by_row:
        # The rows' header stays in memory from row to row; a whole sequence drops it.
        measure([ways["cached"]], items, counter)
        measure([ways["whole"], *others], items, counter)
    else:
        measure([*picked, *others], items, counter)
    figures = report(Console(width=100), title, [*picked, *others], ways["whole"])
    if echo:
        slow = echo_way(path, threads)
        measure([slow], items[:1], counter)
        ratio = slow.seconds[0] / statistics.median(ways["cold"].seconds)
        print(f"{slow.name}, run once: {slow.seconds[0]:.1f} s, {ratio:.0f} times autocog, cold")
        figures["echo"] = {"seconds": slow.seconds[0], "ratio": ratio}
    if not by_row:
        share = over(ways["cached"], ways["cold"])
        print(f"cached takes {share:.2f} of cold")
        figures["cached of cold"] = share
    return figures


def main() -> None:
    """Run the workloads asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default=SMOL, help=".gguf file, or package: file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", default="", help='JSON with "prompt" and "choices"')
    parser.add_argument("--banking77", type=Path, help="CSV with columns text, category")
    parser.add_argument("--no-echo", action="store_true", help="without the slowest way")
    parser.add_argument("--exact", action="store_true", help="exact mode")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    given = arguments.model
    path = package_file(given) if given.startswith("package:") else Path(given)
    created = LLaMa.create(model_path=str(path), n_ctx=CONTEXT, exact=arguments.exact)
    model = LLaMa(**created)
    print(f"{model.engine.info.name}: {dict(model.engine.info.details)}")
    item = long_item(arguments.prompt)
    count = len(model.as_model().encode(item[0]))
    title = f"{count} prompt tokens, {len(item[1])} choices ({arguments.rounds} rounds)"
    items = [item] * arguments.rounds
    figures = {
        "long prompt": compare(title, model, items, path, echo=not arguments.no_echo, by_row=False)
    }
    if arguments.banking77:
        rows = banking77_items(arguments.banking77, arguments.rounds)
        title = f"banking77, {len(rows[0][1])} intents ({arguments.rounds} rows)"
        figures["banking77"] = compare(title, model, rows, path, echo=False, by_row=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
