"""Measure memory and time of one `choose` of many choices: by default 10,000 of 12 tokens.

python benchmarks/many_choices.py [--choices 10000] [--length 12] [--model MODEL]
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from methods import LONG_PROMPT, SMOL

from autocog_core import TreeQuery
from autocog_core.types.token_tree import TokenTree
from autocog_tf import TfLM


def peak() -> float:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Score random token sequences after the long prompt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=SMOL)
    parser.add_argument("--choices", type=int, default=10_000)
    parser.add_argument("--length", type=int, default=12)
    arguments = parser.parse_args()
    model = TfLM(**TfLM.create(model_path=arguments.model))
    prefix = model.as_model().encode(LONG_PROMPT)
    generator = np.random.default_rng(0)
    size = (arguments.choices, arguments.length)
    tree = TokenTree.build(generator.integers(100, 40_000, size).tolist())
    model.greedy(prefix)
    before = peak()
    start = time.perf_counter()
    scores = model.as_model().client.greedy_tree(
        [TreeQuery(prefix=prefix, tokens=tree.tokens, parents=tree.parents)]
    )[0]
    seconds = time.perf_counter() - start
    print(
        f"{arguments.choices} choices of {arguments.length} tokens: "
        f"{scores.tokens_evaluated} tokens evaluated in {seconds:.0f} s, "
        f"{peak() - before:.0f} MB beyond the loaded model"
    )


if __name__ == "__main__":
    main()
