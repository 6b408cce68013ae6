"""Without a prefix cache, equal calls have equal numbers, whatever was asked before."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from autocog_core import Automaton, Choose, Complete, EngineError, Model, Text
from autocog_llamacpp import LLaMa
from tests.support.llamacpp.gguf_models import SMOL
from tests.support.trials import Trials, tried

WORDS = (
    *("the", "capital", "of", "France", "is", "Paris", "and", "water", "boils", "at", "many"),
    *("degrees", "why", "do", "birds", "sing", "in", "spring", "Answer:", "Question:"),
)
AUTOMATON = Automaton(
    [
        Text(uid="t", text="Question: why?\nAnswer:", successors="w"),
        Complete(uid="w", length=5, beams=2, successors="c"),
        Choose(uid="c", choices=(" yes", " no")),
    ]
)
CHOICES = [" yes", " no", " maybe not"]


@pytest.fixture(scope="module")
def quantized() -> Iterator[Model]:
    """SmolLM2, Q4_1, without a prefix cache."""
    with LLaMa(
        **LLaMa.create(model_path=SMOL, n_ctx=1024, n_threads=1, prefix_cache=False)
    ).as_model() as model:
        yield model


def call(model: Model, seed: int) -> Any:
    generator = random.Random(seed)
    prompts = [" ".join(generator.choices(WORDS, k=generator.randint(3, 20))) for _ in range(2)]
    match seed % 5:
        case 0:
            return model.complete(prompts[0], max_tokens=6)
        case 1:
            return model.choose(prompts[0], CHOICES)
        case 2:
            return [(node.text, node.logprobs) for node in AUTOMATON.run(model).nodes]
        case 3:
            return model.complete(prompts[0], max_tokens=4, temperature=1.0, n=2, seed=seed)
    (scores, _) = model.choose_many(prompts, CHOICES)
    return scores


@pytest.mark.slow
@tried(
    "Calls of a quantized model in two orders, with prefix_cache = false",
    expect="the same numbers, bit for bit",
    normal=5,
    soak=200,
)
def test_answers_do_not_depend_on_the_calls_before(trials: Trials, quantized: Model) -> None:
    order = list(trials)
    first = {seed: call(quantized, seed) for seed in order}
    random.Random(1).shuffle(order)
    for seed in order:
        assert call(quantized, seed) == first[seed]
        trials.note("the same numbers")


def test_one_row_is_scored_as_among_many(make_llama: Callable[..., Any]) -> None:
    model = make_llama(prefix_cache=False).as_model()
    rows = ["the capital", "the capital of France", "Paris"]
    alone = [model.choose(row, CHOICES) for row in rows]
    assert model.choose_many(rows, CHOICES) == alone
    trees = list(AUTOMATON.run_many(model, [{}] * 3, concurrency=3))
    assert all(tree.nodes == trees[0].nodes for tree in trees)


def test_nothing_is_cached_and_the_model_says_so(make_llama: Callable[..., Any]) -> None:
    model = make_llama(prefix_cache=False).as_model()
    first, second = (model.choose("the capital of France", CHOICES) for _ in range(2))
    assert first.tokens_evaluated == second.tokens_evaluated
    assert model.info.details["prefix_cache"] is False
    assert model.info.details["trees"].endswith("each call from an empty cache")
    cached = make_llama().as_model()
    assert cached.info.details["prefix_cache"] is True
    assert cached.info.fingerprint != model.info.fingerprint


def test_an_automaton_runs_in_the_extension_if_there_is_one(
    make_llama: Callable[..., Any], native: bool
) -> None:
    tree = AUTOMATON.run(make_llama(prefix_cache=False).as_model())
    assert (tree.provenance.get("evaluator") == "engine") == native


def test_a_call_inside_a_completion_is_refused_and_the_completion_goes_on(
    make_llama: Callable[..., Any],
) -> None:
    model = make_llama(prefix_cache=False).as_model()
    errors = []

    def on_text(piece: str) -> None:
        for nested in (
            lambda: model.choose("the", CHOICES),
            lambda: AUTOMATON.run(model),
            lambda: model.greedy("the"),
        ):
            with pytest.raises(EngineError, match="a call inside a completion") as caught:
                nested()
            errors.append(caught.value)

    alone = model.complete("the capital", max_tokens=3)
    nested = model.complete("the capital", max_tokens=3, on_text=on_text)
    assert errors
    assert nested.tokens == alone.tokens
    assert nested.logprobs == alone.logprobs
    assert model.choose("the", CHOICES)
