"""Measure how the batch shape changes llama.cpp's numbers, by type of weights.

The log-probabilities of a token tree in one decode are compared with those of separate decodes of
whole sequences, and of single tokens. `BackendInfo.tolerance` must allow the differences.

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


def decode_tokens(
    model: Model, engine: LlamaEngine, tokens: Sequence[int], begin: int
) -> list[float]:
    """Return the log-probabilities of tokens[begin:]; each token is decoded alone."""
    engine.clear_caches()
    logprobs = []
    for end in range(1, len(tokens)):
        row = model.greedy(tokens[:end])
        if end >= begin:
            logprobs.append(float(row[tokens[end]]))
    return logprobs


def decode_sequences(
    model: Model, engine: LlamaEngine, tokens: Sequence[int], begin: int
) -> list[float]:
    """Return the log-probabilities of tokens[begin:]; each prefix is one decode."""
    logprobs = []
    for end in range(begin, len(tokens)):
        engine.clear_caches()
        logprobs.append(float(model.greedy(tokens[:end])[tokens[end]]))
    return logprobs


def main() -> None:
    """Measure each file, in the default mode and in exact mode."""
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
            differences: tuple[list[float], list[float]] = ([], [])
            for line in lines[: arguments.questions]:
                row = json.loads(line)
                prompt = f"{header}Question: {row['question']}\nAnswer:"
                engine.clear_caches()
                scores = model.choose(prompt, [f" {choice}" for choice in row["choices"]]).scores
                base = model.encode(prompt)
                for score in scores:
                    sequence = [*base, *score.tokens]
                    for decode, values in zip(
                        (decode_sequences, decode_tokens), differences, strict=True
                    ):
                        logprobs = decode(model, engine, sequence, len(base))
                        values += np.abs(np.subtract(logprobs, score.token_logprobs)).tolist()
            cells = [
                f"{statistic:.2g}"
                for values in differences
                for statistic in (np.median(values), np.quantile(values, 0.99), np.max(values))
            ]
            weights = str(model.info.details["weights"])
            table.add_row(weights, "yes" if exact else "no", str(len(differences[0])), *cells)
            model.close()
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
