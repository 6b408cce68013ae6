"""Beam search of automata against Transformers' own: the same scores, and how long they take.

The same model in the same process, interleaved prompt by prompt, compared by medians of ratios.

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
from ways import SMOL

from autocog_core import Automaton, Complete, Text, load

QUESTIONS = Path(__file__).parents[1] / "examples" / "quiz" / "questions.jsonl"


def main() -> None:
    """Run both on every prompt, and print the differences and the ratio of times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()[: given.prompts]
    prompts = [f"Question: {json.loads(line)['question']}\nAnswer:" for line in lines]
    options = {"model_path": SMOL, "device": given.device}
    with load(backend="tf", options=options) as model:
        engine = model._backend.engine  # type: ignore[attr-defined]
        ratios, differences, seconds = [], [], []
        for prompt in [prompts[0], *prompts]:
            engine.forget()
            start = time.perf_counter()
            own = own_scores(model, prompt, given)
            middle = time.perf_counter()
            theirs = their_scores(engine.model, model.encode(prompt), given)
            end = time.perf_counter()
            seconds.append(middle - start)
            ratios.append((middle - start) / (end - middle))
            differences.append(max(abs(a - b) for a, b in zip(own, theirs, strict=True)))
    # The first prompt came once more, to warm up.
    print(f"{len(prompts)} prompts, {given.beams} beams, {given.length} tokens")
    print(f"largest difference of a score: {max(differences[1:]):.1e}")
    print(f"seconds a prompt: {statistics.median(seconds[1:]):.2f} (median)")
    print(f"time, ours / Transformers': {statistics.median(ratios[1:]):.2f} (median)")


def own_scores(model: Any, prompt: str, given: argparse.Namespace) -> list[float]:
    """The scores of all beams, best first."""
    automaton = Automaton(
        [
            Text(uid="prompt", text=prompt, successors="beams"),
            Complete(uid="beams", length=given.length, beams=given.beams, width=None),
        ]
    )
    tree = automaton.run(model)
    return [node.path_logprob / node.length for node in tree.nodes if node.uid == "beams"]


def their_scores(network: Any, ids: list[int], given: argparse.Namespace) -> list[float]:
    """The same from `generate`."""
    found = network.generate(
        torch.tensor([ids], device=network.device),
        num_beams=given.beams,
        early_stopping="never",
        max_new_tokens=given.length,
        length_penalty=1.0,
        do_sample=False,
        num_return_sequences=given.beams,
        output_scores=True,
        return_dict_in_generate=True,
        pad_token_id=0,
    )
    scores: list[float] = found.sequences_scores.tolist()
    return scores


if __name__ == "__main__":
    main()
