"""Compare a run over a data set with lm-eval: the scores of all intents for each message.

Both use the same weights in the same process and alternate row by row; lm-eval uses its best batch
size. All prompts share a header.

    python benchmarks/data_set.py banking77_test.csv [--rows 5] [--concurrency 1]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from compare_tf import best_batch, lm_eval_methods
from methods import SMOL, banking77_items

from autocog_core import Automaton, Choose, Each, Input, Template, Text, ThoughtTree, load

PROGRAM = Automaton(
    [
        Text(uid="prompt", text=Template("{{ prompt }}"), successors="intent"),
        Choose(uid="intent", name="intent", choices=(Each("choices"),), width=None),
    ],
    inputs={"prompt": Input(), "choices": Input("list")},
)


def main() -> None:
    """Time both on every row, and print the ratio and the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=5)
    arguments = parser.parse_args()
    items = banking77_items(arguments.file, arguments.rows + 1)
    with load(backend="tf", options={"model_path": SMOL, "device": "cpu"}) as model:
        engine = model._backend.engine  # type: ignore[attr-defined]
        peers = lm_eval_methods(engine.model, engine.tokenizer.tokenizer)
        peer = peers[best_batch(peers, items[0])]
        ratios, differences = [], []
        trees = PROGRAM.run_many(model, ({"prompt": p, "choices": c} for p, c in items))
        for number, (prompt, choices) in enumerate(items):
            start = time.perf_counter()
            tree = next(trees)
            middle = time.perf_counter()
            expected = peer.run(prompt, choices)
            end = time.perf_counter()
            if number == 0:
                # Warm-up: now the header is cached.
                continue
            assert isinstance(tree, ThoughtTree)
            assert expected is not None
            ratios.append((end - middle) / (middle - start))
            differences.append(difference(tree, expected))
            print(f"row {number}: {middle - start:.2f} s, {peer.name} {end - middle:.2f} s")
    print(f"times faster than {peer.name}: {statistics.median(ratios):.1f} (median)")
    print(f"largest difference of a score: {max(differences):.1e}")


def difference(tree: ThoughtTree, expected: Sequence[float]) -> float:
    """Return the largest difference of a choice's log-probability."""
    scores = [node.path_logprob for node in tree.nodes if node.uid == "intent"]
    return max(abs(a - b) for a, b in zip(scores, expected, strict=True))


if __name__ == "__main__":
    main()
