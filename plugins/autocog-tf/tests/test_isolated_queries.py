"""Isolated queries in bfloat16: no other call changes their numbers, to the last bit."""

from __future__ import annotations

import random

import pytest
import torch

from autocog_core import Model, TextPiece
from autocog_tf import TfLM
from autocog_tf.engine import TfEngine
from tests.support.soak import count
from tests.support.tf.tiny_models import byte_level_tokenizer, tiny_model

CHOICES = [" yes", " no", " the one", " the other one"]
WORDS = ("the", "capital", "of", "France", "is", "Paris", "and", "10", "or", "100")


def text(drawn: random.Random, most: int) -> str:
    return " ".join(drawn.choices(WORDS, k=drawn.randint(1, most)))


@pytest.mark.parametrize("architecture", ["llama", pytest.param("mamba", marks=pytest.mark.soak)])
def test_other_calls_change_no_isolated_choice(architecture: str) -> None:
    engine = TfEngine(tiny_model(architecture).to(torch.bfloat16), byte_level_tokenizer())
    model = Model(TfLM(engine=engine))
    assert model.info.isolates
    drawn = random.Random(8)
    states = [TextPiece(text(drawn, 20) + "\n") for _ in range(2)]
    prompts = [
        (drawn.choice(states), TextPiece(text(drawn, 8) + ": "))
        for _ in range(count(normal=4, soak=60))
    ]
    together = model.choose_many(prompts, CHOICES, isolate=True)
    for index in drawn.sample(range(len(prompts)), len(prompts)):
        other = prompts[drawn.randrange(len(prompts))]
        model.choose(other, CHOICES[::-1])
        model.greedy(drawn.choice(states).text)
        alone = model.choose(prompts[index], CHOICES, isolate=True)
        assert alone.scores == together[index].scores
    model.close()


def test_float32_keeps_its_cache() -> None:
    model = Model(TfLM(engine=TfEngine(tiny_model("llama"), byte_level_tokenizer())))
    assert not model.info.isolates
    prompt = (TextPiece("the capital of France\n"), TextPiece("is Paris: "))
    first, again = (model.choose(prompt, CHOICES, isolate=True) for _ in range(2))
    assert (again.tokens_evaluated or 0) < (first.tokens_evaluated or 0)
    model.close()
