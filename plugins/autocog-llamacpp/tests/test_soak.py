"""Many random calls on two models that share weights: no crash, no leak, no wrong score."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from autocog_core import ContextOverflowError, Model
from autocog_llamacpp import LLaMa
from tests.support.llamacpp.plain_llama import Plain
from tests.support.soak import count

pytestmark = pytest.mark.slow

WORDS = [
    *("the", "capital", "of", "France", "is", "Paris", "and", "not", "Rome", "1", "10", "2024"),
    *("naïve", "東京", "😀", "(a)", "\t", "don't", "Question:", "Answer:", "\n\n", "zzzzz"),
]


def text(drawn: random.Random, most: int) -> str:
    return " ".join(drawn.choice(WORDS) for _ in range(drawn.randrange(1, most)))


class Soak:
    """Random calls on a model, and results to compare with the slow reference.

    The comparison comes last, because the reference needs more memory than the test allows.
    """

    def __init__(self, drawn: random.Random, most_choices: int) -> None:
        self.drawn = drawn
        self.most_choices = most_choices
        self.rows: list[tuple[list[int], Any]] = []
        self.scores: list[tuple[list[int], int, Any]] = []

    def call(self, model: Model, check: bool) -> None:
        kind = self.drawn.choice(["choose", "choose", "complete", "sample", "greedy", "overlong"])
        prompt = "Text: " + text(self.drawn, 40)
        getattr(self, kind)(model, prompt, check)

    def choose(self, model: Model, prompt: str, check: bool) -> None:
        count = self.drawn.choice([1, 2, 5, 20, self.most_choices])
        choices = list(dict.fromkeys(f" {text(self.drawn, 5)} {n}" for n in range(count)))
        result = model.choose(prompt, choices)
        if check:
            for score in self.drawn.sample(result.scores, min(3, len(choices))):
                joint = model.encode(prompt + score.choice)
                self.compare(joint, score.tokens, score.token_logprobs)

    def complete(self, model: Model, prompt: str, check: bool) -> None:
        done = model.complete(prompt, max_tokens=20, stop="\n")
        if check:
            self.compare([*model.encode(prompt), *done.tokens], done.tokens, done.logprobs)

    def sample(self, model: Model, prompt: str, check: bool) -> None:
        count = self.drawn.choice([1, 3, 9])
        done = model.complete(prompt, max_tokens=10, n=count, temperature=1.5, top_p=0.9, seed=3)
        if check:
            last = (done, *done.alternatives)[-1]
            self.compare([*model.encode(prompt), *last.tokens], last.tokens, last.logprobs)

    def greedy(self, model: Model, prompt: str, check: bool) -> None:
        row = model.greedy(prompt)
        if check:
            self.rows.append((model.encode(prompt), row))

    def overlong(self, model: Model, prompt: str, check: bool) -> None:
        long = prompt + " word" * 3000
        with pytest.raises(ContextOverflowError):
            model.choose(long, [" a", " b"])
        with pytest.raises(ContextOverflowError):
            model.complete(prompt, max_tokens=10**6)
        self.greedy(model, prompt, check)

    def compare(self, sequence: Any, tokens: Any, logprobs: Any) -> None:
        begin = len(sequence) - len(tokens)
        assert tuple(sequence[begin:]) == tuple(tokens)
        self.scores.append((list(sequence), begin, logprobs))

    def check(self, plain: Plain) -> int:
        """Compare the recorded results with the reference. Return their number."""
        for sequence, row in self.rows:
            assert np.abs(row - plain.row(sequence)).max() < 1e-4
        for sequence, begin, logprobs in self.scores:
            rows = plain.rows(sequence)[begin - 1 : -1]
            expected = rows[np.arange(len(logprobs)), sequence[begin:]]
            assert np.abs(expected - np.array(logprobs)).max() < 1e-4
        return len(self.rows) + len(self.scores)


def check_calls(path: Path, calls: int, check_each: int, settle: int, **options: Any) -> None:
    created = LLaMa.create(model_path=str(path), exact=True, **options)
    models = [LLaMa(**created).as_model() for _ in range(2)]
    drawn = random.Random(7)
    soaked = Soak(drawn, 400)
    # Allocated once: memory for the logits of the widest choice.
    models[0].choose("Text:", [f" {number} and" for number in range(400)])
    process = psutil.Process()
    settled = 0
    for number in range(calls):
        soaked.call(drawn.choice(models), number % check_each == 0)
        if number == settle:
            gc.collect()
            settled = process.memory_info().rss
    gc.collect()
    grown = (process.memory_info().rss - settled) / 2**20
    checked = soaked.check(Plain(path, options["n_ctx"]))
    print(f"{calls} calls, {checked} results checked, memory grew by {grown:.1f} MB")
    assert checked >= calls // check_each
    assert grown < 20, f"grown by {grown:.0f} MB"


def test_many_calls_on_a_tiny_model(gguf_file: Callable[..., Path]) -> None:
    path = gguf_file(context=1024)
    calls, each, settle = count(60, 2000), count(10, 50), count(20, 200)
    # For a small model, several threads are slow.
    check_calls(path, calls, each, settle, n_ctx=1024, n_threads=1)


@pytest.mark.soak
def test_sixty_calls_on_smollm2_in_float32(smol_f32: Path) -> None:
    check_calls(smol_f32, 60, 10, 20, n_ctx=2048)
