"""Long uniform texts, and the tokenizer of a file, for tests and their child processes."""

from __future__ import annotations

from pathlib import Path

from autocog_llamacpp.gguf.weights import Weights
from autocog_llamacpp.llama.interrupt import Interruptible
from autocog_llamacpp.llama.tokenizer import Tokenizer

RUNS = {
    "letters": "a" * 300_000,
    "blanks": " " * 300_000,
    "digits": "7" * 300_000,
    "signs": "!" * 300_000,
    "ideographs": "東" * 100_000,
    "words": "The capital of France is Paris. " * 9_375,
}


def tokenizer_of(path: Path) -> Tokenizer:
    weights = Weights(path, Interruptible(), n_gpu_layers=0, use_mmap=True)
    return Tokenizer(weights, weights.pointer)


def one(tokenizer: Tokenizer, text: str, at_start: bool = True, special: bool = False) -> list[int]:
    return tokenizer.tokenize([text], at_start, special)[0]
