"""The proven best choice (`choose(top=1)`) against the whole token choice tree, and lm-eval.

Every intent of banking77 is a label; the header of the prompts is cached. The methods alternate row
by row in one process, and results are medians. The limit of a row is the time that its operations
(tokens x 2 x weights) or its bytes (the weights once for each forward) take at this machine's best.

    python benchmarks/best_choices.py banking77_test.csv [--backend llamacpp --weights F16]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine_limits import MachineLimits
from methods import SMOL, Item, banking77_items
from rich.console import Console
from rich.table import Table

from autocog_core import Model, TopChoices, load
from autocog_core.types.choice import NORMS, Norm

#: Weights of SmolLM2-135M that take part in a product, for each token: the embedding is the output
#: layer, which only the tokens with a distribution need; here nearly all do.
WEIGHTS = 134_500_000
#: Bytes of a weight by type: a block of 32 weights and its scales.
BYTES_OF_WEIGHT = {"F32": 4, "F16": 2, "BF16": 2, "Q8_0": 34 / 32, "Q4_1": 20 / 32, "Q4_0": 18 / 32}


@dataclass
class Way:
    """One way to find the best choice, and its measurements.

    :ivar norm: the norm of the choices.
    :ivar top: whether only the best choice is searched.
    """

    norm: Norm
    top: bool
    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    picks: list[int] = field(default_factory=list)
    best: list[float] = field(default_factory=list)

    def run(self, model: Model, prompt: str, choices: Sequence[str]) -> None:
        """Run it once and note the numbers."""
        options: dict[str, Any] = {"norm": self.norm}
        if self.norm == "pmi":
            options["unconditional_prompt"] = "Intent:"
        start = time.perf_counter()
        if self.top:
            part = model.choose(prompt, choices, top=1, **options)
            self.seconds.append(time.perf_counter() - start)
            assert isinstance(part, TopChoices)
            self.steps.append(part.steps)
            self.nodes.append(part.nodes_read or 0)
            self.picks.append(part.index)
            self.best.append(part.best.logprob)
            self.tokens.append(part.tokens_evaluated or 0)
            return
        whole = model.choose(prompt, choices, **options)
        self.seconds.append(time.perf_counter() - start)
        self.steps.append(1)
        self.nodes.append(-1)
        self.picks.append(whole.index)
        self.best.append(whole.best.logprob)
        self.tokens.append(whole.tokens_evaluated or 0)


def main() -> None:
    """Time all ways and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path, help="CSV with columns text, category")
    parser.add_argument("--backend", default="tf", choices=("tf", "llamacpp"))
    parser.add_argument("--model", default=SMOL)
    parser.add_argument("--weights", default="", help="type of llama.cpp's weights; the file's")
    parser.add_argument("--rows", type=int, default=9)
    parser.add_argument("--lm-eval", action="store_true", help="also time lm-eval (tf)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    options: dict[str, Any] = {"model_path": arguments.model}
    if arguments.weights:
        options["weights"] = arguments.weights
    items = banking77_items(arguments.file, arguments.rows + 1)
    with load(backend=arguments.backend, options=options) as model:
        print(f"{model.info.name}: {dict(model.info.details)}")
        limits = MachineLimits.measure()
        print(f"{limits.operations / 1e9:.0f} GFLOP/s, {limits.bytes / 1e9:.1f} GB/s")
        ways = {(norm, top): Way(norm, top) for norm in NORMS for top in (False, True)}
        # The whole tree is the same for the first three norms: one of them stands for all.
        ways = {key: way for key, way in ways.items() if key[1] or key[0] in ("sum", "pmi")}
        engine = model._backend.engine  # type: ignore[attr-defined]
        peer = find_peer(engine, items[0]) if arguments.lm_eval else None
        warm_up(model, ways, items[-1])
        header = model.encode(items[0][0].split("Message:")[0])
        for prompt, choices in items[:-1]:
            for way in ways.values():
                engine.clear_caches()
                model.client.greedy(header)
                way.run(model, prompt, choices)
            if peer is not None:
                start = time.perf_counter()
                peer.run(prompt, choices)
                peer.seconds.append(time.perf_counter() - start)
        kind = (arguments.weights or "Q4_1") if arguments.backend == "llamacpp" else "F32"
        results = report(ways, limits, kind, None if peer is None else peer.seconds)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def find_peer(engine: Any, item: Item) -> Any:
    """Return lm-eval's HFLM at its best batch size."""
    from compare_tf import best_batch, lm_eval_methods

    methods = lm_eval_methods(engine.model, engine.tokenizer.tokenizer)
    return methods[best_batch(methods, item)]


def warm_up(model: Model, ways: dict[Any, Way], item: Item) -> None:
    """Run each way once: tokens of labels and the unconditional tree are kept from then on."""
    for way in ways.values():
        Way(way.norm, way.top).run(model, *item)


def report(
    ways: dict[tuple[Norm, bool], Way],
    limits: MachineLimits,
    kind: str,
    peer: list[float] | None,
) -> dict[str, Any]:
    """Print the table; return its numbers."""
    table = Table(title=f"banking77, 77 intents a row, header cached, weights in {kind}")
    names = ["norm", "way", "seconds", "times whole", "nodes", "steps", "tokens", "of the limit"]
    names += ["same pick", "largest difference"] + (["times lm-eval"] if peer else [])
    for name in names:
        table.add_column(name, justify="left" if name in ("norm", "way") else "right")
    weight_bytes = int(WEIGHTS * BYTES_OF_WEIGHT.get(kind, 4))
    results: dict[str, Any] = {"weights": kind, "limits": vars(limits)}
    for (norm, top), way in ways.items():
        whole = ways["pmi" if norm == "pmi" else "sum", False]
        ratio = median(a / b for a, b in zip(whole.seconds, way.seconds, strict=True))
        least = [
            limits.least_seconds(
                tokens=tokens, weights=WEIGHTS, passes=steps, weight_bytes=weight_bytes
            )
            for tokens, steps in zip(way.tokens, way.steps, strict=True)
        ]
        share = median(a / b for a, b in zip(least, way.seconds, strict=True))
        same = sum(a == b for a, b in zip(way.picks, whole.picks, strict=True))
        comparable = norm in ("sum", "pmi")
        difference = max(abs(a - b) for a, b in zip(way.best, whole.best, strict=True))
        row = {
            "norm": norm if comparable or top else "",
            "way": "top=1" if top else "whole tree",
            "seconds": median(way.seconds),
            "times whole": ratio,
            "nodes": statistics.mean(way.nodes) if top else None,
            "steps": statistics.mean(way.steps),
            "tokens": median(way.tokens),
            "of the limit": share,
            "same pick": f"{same}/{len(way.picks)}" if comparable else "",
            "largest difference": difference if comparable else None,
        }
        if peer:
            row["times lm-eval"] = median(a / b for a, b in zip(peer, way.seconds, strict=True))
        results[f"{norm}, {row['way']}"] = row
        table.add_row(*(show(row[name]) for name in names))
    Console(width=130).print(table)
    if peer:
        results["lm-eval seconds"] = median(peer)
    return results


def show(value: Any) -> str:
    """Return a number in few digits."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def median(values: Any) -> float:
    """Return the median of numbers."""
    return float(statistics.median(values))


if __name__ == "__main__":
    main()
