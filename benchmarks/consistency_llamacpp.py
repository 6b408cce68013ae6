"""How far llama.cpp's numbers depend on the shape of a batch, by type of weights.

The same log-probabilities by a tree in one decode, by separate decodes of whole sequences, and by
one token at a time: the differences are what `BackendInfo.tolerance` has to allow.

    python benchmarks/consistency_llamacpp.py FILE.gguf ... [--questions 12]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from autocog_core import Model
from autocog_llamacpp import LLaMa
from autocog_llamacpp.engine import LlamaEngine

QUESTIONS = Path(__file__).parent.parent / "examples" / "quiz" / "questions.jsonl"


def one_by_one(model: Model, engine: LlamaEngine, tokens: Sequence[int], begin: int) -> list[float]:
    """The log-probabilities of tokens[begin:], each token decoded alone."""
    engine.forget()
    found = []
    for end in range(1, len(tokens)):
        row = model.greedy(tokens[:end])
        if end >= begin:
            found.append(float(row[tokens[end]]))
    return found


def whole(model: Model, engine: LlamaEngine, tokens: Sequence[int], begin: int) -> list[float]:
    """The log-probabilities of tokens[begin:], the whole sequence before each in one decode."""
    found = []
    for end in range(begin, len(tokens)):
        engine.forget()
        found.append(float(model.greedy(tokens[:end])[tokens[end]]))
    return found


def main() -> None:
    """Measure every file, as it is and in exact mode."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="+", help=".gguf files, or package:PKG/FILE")
    parser.add_argument("--questions", type=int, default=12)
    arguments = parser.parse_args()
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()
    # A header makes the prompts long enough for llama.cpp's code for large batches.
    header = "Answer the question with one of the answers that fits best, and be brief.\n" * 3
    table = Table(title="nats a token, tree against separate decodes")
    for column in ("weights", "exact", "tokens", "whole: median", "99%", "max"):
        table.add_column(column, no_wrap=True)
    for column in ("one by one: median", "99%", "max"):
        table.add_column(column, no_wrap=True)
    for file in arguments.files:
        for exact in (False, True):
            created = LLaMa.create(model_path=file, n_ctx=2048, exact=exact)
            engine = created["engine"]
            model = LLaMa(**created).as_model()
            apart: tuple[list[float], list[float]] = ([], [])
            for line in lines[: arguments.questions]:
                row = json.loads(line)
                prompt = f"{header}Question: {row['question']}\nAnswer:"
                engine.forget()
                scores = model.choose(prompt, [f" {choice}" for choice in row["choices"]]).scores
                base = model.encode(prompt)
                for score in scores:
                    sequence = [*base, *score.tokens]
                    for way, values in zip((whole, one_by_one), apart, strict=True):
                        found = way(model, engine, sequence, len(base))
                        values += np.abs(np.subtract(found, score.token_logprobs)).tolist()
            cells = [
                f"{figure:.2g}"
                for values in apart
                for figure in (np.median(values), np.quantile(values, 0.99), np.max(values))
            ]
            weights = str(model.info.details["weights"])
            table.add_row(weights, "yes" if exact else "no", str(len(apart[0])), *cells)
            model.close()
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
