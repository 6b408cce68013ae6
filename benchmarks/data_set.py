"""A run over a data set against lm-eval: the scores of all intents for each message.

The same weights in the same process, interleaved row by row; lm-eval at its best batch size of a
few. Both score every intent after the same prompt, whose header all rows share.

    python benchmarks/data_set.py banking77_test.csv [--rows 5] [--concurrency 1]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from compare_tf import best_batch, lm_eval_ways
from ways import SMOL, banking77_items

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
    given = parser.parse_args()
    items = banking77_items(given.file, given.rows + 1)
    with load(backend="tf", options={"model_path": SMOL, "device": "cpu"}) as model:
        engine = model._backend.engine  # type: ignore[attr-defined]
        peers = lm_eval_ways(engine.model, engine.tokenizer.tokenizer)
        peer = peers[best_batch(peers, items[0])]
        ratios, differences = [], []
        trees = PROGRAM.run_many(model, ({"prompt": p, "choices": c} for p, c in items))
        for number, (prompt, choices) in enumerate(items):
            start = time.perf_counter()
            tree = next(trees)
            middle = time.perf_counter()
            theirs = peer.run(prompt, choices)
            end = time.perf_counter()
            if number == 0:
                # To warm up: from now on the header is known.
                continue
            assert isinstance(tree, ThoughtTree)
            assert theirs is not None
            ratios.append((end - middle) / (middle - start))
            differences.append(difference(tree, theirs))
            print(f"row {number}: {middle - start:.2f} s, {peer.name} {end - middle:.2f} s")
    print(f"times faster than {peer.name}: {statistics.median(ratios):.1f} (median)")
    print(f"largest difference of a score: {max(differences):.1e}")


def difference(tree: ThoughtTree, theirs: Sequence[float]) -> float:
    """The largest difference of a choice's log-probability."""
    own = [node.path_logprob for node in tree.nodes if node.uid == "intent"]
    return max(abs(a - b) for a, b in zip(own, theirs, strict=True))


if __name__ == "__main__":
    main()
