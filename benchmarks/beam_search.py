"""Compare beam search of automata with that of Transformers: scores and times.

Both use the same model in the same process and alternate prompt by prompt.

    python benchmarks/beam_search.py [--prompts 50] [--beams 4] [--length 64]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from methods import SMOL

from autocog_core import Automaton, Complete, Text, load

QUESTIONS = Path(__file__).parents[1] / "examples" / "quiz" / "questions.jsonl"


def main() -> None:
    """Run both on every prompt; print the differences and the ratio of times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()[: arguments.prompts]
    prompts = [f"Question: {json.loads(line)['question']}\nAnswer:" for line in lines]
    options = {"model_path": SMOL, "device": arguments.device}
    with load(backend="tf", options=options) as model:
        engine = model._backend.engine  # type: ignore[attr-defined]
        ratios, differences, seconds = [], [], []
        for prompt in [prompts[0], *prompts]:
            engine.clear_caches()
            start = time.perf_counter()
            scores = automaton_scores(model, prompt, arguments)
            middle = time.perf_counter()
            expected = transformers_scores(engine.model, model.encode(prompt), arguments)
            end = time.perf_counter()
            seconds.append(middle - start)
            ratios.append((middle - start) / (end - middle))
            differences.append(max(abs(a - b) for a, b in zip(scores, expected, strict=True)))
    # The first prompt runs twice, to warm up.
    print(f"{len(prompts)} prompts, {arguments.beams} beams, {arguments.length} tokens")
    print(f"largest difference of a score: {max(differences[1:]):.1e}")
    print(f"seconds a prompt: {statistics.median(seconds[1:]):.2f} (median)")
    print(f"time, autocog / Transformers: {statistics.median(ratios[1:]):.2f} (median)")


def automaton_scores(model: Any, prompt: str, arguments: argparse.Namespace) -> list[float]:
    """Return the scores of all beams, best first."""
    automaton = Automaton(
        [
            Text(uid="prompt", text=prompt, successors="beams"),
            Complete(uid="beams", length=arguments.length, beams=arguments.beams, width=None),
        ]
    )
    tree = automaton.run(model)
    return [node.path_logprob / node.length for node in tree.nodes if node.uid == "beams"]


def transformers_scores(network: Any, ids: list[int], arguments: argparse.Namespace) -> list[float]:
    """Return the scores of all beams of `generate`, best first."""
    output = network.generate(
        torch.tensor([ids], device=network.device),
        num_beams=arguments.beams,
        early_stopping="never",
        max_new_tokens=arguments.length,
        length_penalty=1.0,
        do_sample=False,
        num_return_sequences=arguments.beams,
        output_scores=True,
        return_dict_in_generate=True,
        pad_token_id=0,
    )
    scores: list[float] = output.sequences_scores.tolist()
    return scores


if __name__ == "__main__":
    main()
