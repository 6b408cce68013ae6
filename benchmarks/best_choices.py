"""The proven best choice (`choose(top=1)`) against the whole token choice tree, and lm-eval.

Every intent of banking77 is a label; the header of the prompts is cached. The methods alternate row
by row in one process, and results are medians. The limit of a row is the time that its operations
(tokens x 2 x weights) or its bytes (the weights once for each forward) take at this machine's best.

    python benchmarks/best_choices.py banking77_test.csv --weights file packed [--lm-eval]
    python benchmarks/best_choices.py banking77_test.csv --backend llamacpp --weights file F16
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
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
BYTES_OF_WEIGHT = {
    "F32": 4,
    "F32 packed": 4,
    "F16": 2,
    "BF16": 2,
    "Q8_0": 34 / 32,
    "Q4_1": 20 / 32,
    "Q4_0": 18 / 32,
}


@dataclass
class Way:
    """One way to find the best choice, and its measurements.

    :ivar model: the model.
    :ivar kind: the type of its weights.
    :ivar norm: the norm of the choices.
    :ivar top: whether only the best choice is searched.
    """

    model: Model
    kind: str
    norm: Norm
    top: bool
    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    picks: list[int] = field(default_factory=list)
    best: list[float] = field(default_factory=list)

    def run(self, prompt: str, choices: Sequence[str], header: Sequence[int]) -> None:
        """Run it once with a cached header, and note the numbers."""
        model = self.model
        model._backend.engine.clear_caches()  # type: ignore[attr-defined]
        model.client.greedy(header)
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
    parser.add_argument(
        "--weights",
        nargs="+",
        default=["file"],
        help="types of llama.cpp's weights; packed: those of tf",
    )
    parser.add_argument("--rows", type=int, default=9)
    parser.add_argument("--lm-eval", action="store_true", help="also time lm-eval (tf)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    items = banking77_items(arguments.file, arguments.rows + 1)
    limits = MachineLimits.measure()
    print(f"{limits.operations / 1e9:.0f} GFLOP/s, {limits.bytes / 1e9:.1f} GB/s")
    with ExitStack() as stack:
        ways: list[Way] = []
        for weights in arguments.weights:
            model = stack.enter_context(load_model(arguments.backend, arguments.model, weights))
            print(f"{model.info.name}: {dict(model.info.details)}")
            kind = "F32 packed" if weights == "packed" else model.info.details.get("weights", "F32")
            # The whole tree is the same for the first three norms: one of them stands for all.
            ways += [Way(model, kind, norm, False) for norm in ("sum", "pmi")]
            ways += [Way(model, kind, norm, True) for norm in NORMS]
        engine = ways[0].model._backend.engine  # type: ignore[attr-defined]
        peer = find_peer(engine, items[0]) if arguments.lm_eval else None
        header = model.encode(items[0][0].split("Message:")[0])
        for way in ways:
            # Tokens of labels and the unconditional tree are kept from then on.
            Way(way.model, way.kind, way.norm, way.top).run(*items[-1], header)
        for prompt, choices in items[:-1]:
            for way in ways:
                way.run(prompt, choices, header)
            if peer is not None:
                start = time.perf_counter()
                peer.run(prompt, choices)
                peer.seconds.append(time.perf_counter() - start)
        results = report(ways, limits, None if peer is None else peer.seconds)
    results["backend"] = arguments.backend
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def load_model(backend: str, path: str, weights: str) -> Model:
    """Load the model with a type of weights; "file" is that of the file."""
    options: dict[str, Any] = {"model_path": path}
    if weights == "packed":
        options["packed_weights"] = True
    elif weights != "file":
        options["weights"] = weights
    return load(backend=backend, options=options)


def find_peer(engine: Any, item: Item) -> Any:
    """Return lm-eval's HFLM at its best batch size."""
    from compare_tf import best_batch, lm_eval_methods

    methods = lm_eval_methods(engine.model, engine.tokenizer.tokenizer)
    return methods[best_batch(methods, item)]


def report(
    ways: Sequence[Way], limits: MachineLimits, peer: Sequence[float] | None
) -> dict[str, Any]:
    """Print the table; return its numbers."""
    table = Table(title="banking77, 77 intents a row, header cached")
    names = ["weights", "norm", "way", "seconds", "times whole", "times first", "nodes", "steps"]
    names += ["tokens", "of the limit", "same pick", "largest difference"]
    names += ["times lm-eval"] if peer else []
    for name in names:
        left = name in ("weights", "norm", "way")
        table.add_column(name, justify="left" if left else "right")
    rows = []
    for way in ways:
        whole = next(
            other
            for other in ways
            if not other.top
            and other.kind == way.kind
            and other.norm == ("pmi" if way.norm == "pmi" else "sum")
        )
        # The numbers of these norms are compared; the whole tree ranks by them.
        is_compared = way.norm in ("sum", "pmi")
        difference = max(abs(a - b) for a, b in zip(way.best, whole.best, strict=True))
        same = sum(a == b for a, b in zip(way.picks, whole.picks, strict=True))
        row = {
            "weights": way.kind,
            "norm": way.norm,
            "way": "top=1" if way.top else "whole tree",
            "seconds": median(way.seconds),
            "times whole": ratio(whole.seconds, way.seconds),
            "times first": ratio(ways[0].seconds, way.seconds),
            "nodes": statistics.mean(way.nodes) if way.top else None,
            "steps": statistics.mean(way.steps),
            "tokens": median(way.tokens),
            "of the limit": ratio(least_seconds(way, limits), way.seconds),
            "same pick": f"{same}/{len(way.picks)}" if is_compared else "",
            "largest difference": difference if is_compared else None,
        }
        if peer:
            row["times lm-eval"] = ratio(peer, way.seconds)
        rows.append(row)
        table.add_row(*(show(row[name]) for name in names))
    Console(width=160).print(table)
    results: dict[str, Any] = {"limits": vars(limits), "rows": rows}
    if peer:
        results["lm-eval seconds"] = median(peer)
    return results


def least_seconds(way: Way, limits: MachineLimits) -> list[float]:
    """Return the least time of each row."""
    weight_bytes = int(WEIGHTS * BYTES_OF_WEIGHT.get(way.kind, 4))
    return [
        limits.least_seconds(
            tokens=tokens, weights=WEIGHTS, passes=steps, weight_bytes=weight_bytes
        )
        for tokens, steps in zip(way.tokens, way.steps, strict=True)
    ]


def ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the median of the ratios, row by row."""
    return median(a / b for a, b in zip(first, second, strict=True))


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
