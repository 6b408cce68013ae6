"""Scores equal plain forwards, on every kind of architecture."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from autocog_core import TreeQuery
from autocog_core.types.token_tree import TokenTree
from autocog_tf import TfLM
from autocog_tf.engine import can_be_masked, context_length
from autocog_tf.evaluators.recurrent import RecurrentEvaluator
from autocog_tf.evaluators.selection import select_evaluator
from tests.support.soak import count
from tests.support.tf import plain_forward as plain
from tests.support.tf import tiny_models as tiny

ATTENTION = ("llama", "gpt2", "qwen3", "gemma3", "mistral")
RECURRENT = ("mamba", "mamba2", "qwen3_next")
#: Mamba-2 takes seconds for a tree.
MODELS = [
    pytest.param(name, marks=[pytest.mark.slow] if name == "mamba2" else []) for name in tiny.MODELS
]
TOLERANCE = 1e-4


@cache
def engine_of(name: str) -> Any:
    return tiny.tiny_engine(name)


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_models_evaluate_a_tree_in_one_forward(name: str) -> None:
    engine = engine_of(name)
    assert engine.selection.evaluator.name == "one forward per tree"
    assert engine.selection.difference < 1e-5


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_models_branch_copied_states(name: str) -> None:
    assert engine_of(name).selection.evaluator.name.startswith("one forward per level")


def test_mamba_1_gets_one_token_at_a_time_on_a_state() -> None:
    # Several would be wrong without an error: the test at load shows it.
    selection = engine_of("mamba").selection
    assert "token by token" in selection.evaluator.name
    assert "differs" in selection.rejected[0]
    assert "rejected" in engine_of("mamba").info.details


@pytest.mark.parametrize("name", MODELS)
def test_every_row_equals_a_plain_forward_in_any_order_of_calls(name: str) -> None:
    """Calls that share, extend, shorten and repeat prefixes equal forwards without a cache."""
    engine = engine_of(name)
    generator = np.random.default_rng(5)
    base = generator.integers(3, 480, 30).tolist()
    for _ in range(count(normal=15, soak=40)):
        cut = int(generator.integers(1, len(base)))
        tokens = base[:cut] + generator.integers(3, 480, int(generator.integers(0, 6))).tolist()
        np.testing.assert_allclose(
            engine.row(tokens), plain.row(engine.model, tokens), atol=TOLERANCE
        )


@pytest.mark.parametrize("name", MODELS)
def test_every_choice_equals_a_plain_forward(name: str) -> None:
    model = TfLM(engine=engine_of(name))
    generator = np.random.default_rng(7)
    words = ["Paris", "Paris, France", "Rome", "1", "10", "100", "naïve", "東京", "😀", "the", "th"]
    for _ in range(count(normal=8, soak=25)):
        prompt = " ".join(generator.choice(words, int(generator.integers(1, 12))))
        picked = generator.choice(words, int(generator.integers(1, 8)), replace=False)
        choices = [" " + word for word in picked]
        result = model.choose(prompt, choices)
        for score in result.scores:
            base = _base_of(model, prompt, choices, score.tokens)
            expected = plain.token_logprobs(model.engine.model, base, score.tokens)
            np.testing.assert_allclose(score.token_logprobs, expected, atol=TOLERANCE)


def _base_of(
    model: TfLM, prompt: str, choices: list[str], choice_ids: tuple[int, ...]
) -> list[int]:
    """Return the ids before `choice_ids` in the joint tokenization of prompt and choice."""
    for choice in choices:
        joint = model.as_model().encode(prompt + choice)
        if tuple(joint[-len(choice_ids) :]) == choice_ids:
            return joint[: -len(choice_ids)]
    raise AssertionError(f"no joint tokenization of {prompt!r} ends with {choice_ids}")


def test_gemma_3_is_exact_far_beyond_its_window() -> None:
    engine = engine_of("gemma3")
    assert engine.config.sliding_window == 8
    prefix = np.random.default_rng(1).integers(3, 480, 60).tolist()
    tree = TokenTree.build([[5, 6, 7, 8], [5, 6, 9], [10, 11]])
    for cut in (60, 41, 59, 60):
        query = TreeQuery(prefix=prefix[:cut], tokens=tree.tokens, parents=tree.parents)
        values = engine.score_trees([query])[0].values
        for node, parent in enumerate(tree.parents.tolist()):
            path: list[int] = []
            while parent >= 0:
                path.insert(0, int(tree.tokens[parent]))
                parent = int(tree.parents[parent])
            expected = plain.row(engine.model, prefix[:cut] + path)[tree.tokens[node]]
            assert abs(values[node] - expected) < TOLERANCE


def test_eager_attention_gets_an_additive_mask() -> None:
    # A boolean mask would be added to the scores as 0 and 1: wrong without an error.
    model = tiny.tiny_model("llama")
    model.set_attn_implementation("eager")
    engine = tiny.TfEngine(model, tiny.byte_level_tokenizer())
    assert engine.selection.evaluator.name == "one forward per tree"
    tokens = list(range(5, 25))
    np.testing.assert_allclose(engine.row(tokens), plain.row(model, tokens), atol=TOLERANCE)


def test_layers_that_attend_in_chunks_are_not_masked() -> None:
    model = tiny.tiny_model("qwen3")
    assert can_be_masked(model, model.config)
    model.config.layer_types = ["chunked_attention", "full_attention", "full_attention"]
    assert not can_be_masked(model, model.config)


def test_rotary_embeddings_that_change_with_length_limit_the_context() -> None:
    config = tiny.tiny_model("llama").config
    assert context_length(config) == 512
    config.rope_parameters = {"rope_type": "longrope", "original_max_position_embeddings": 128}
    assert context_length(config) == 128
    config.rope_parameters = {"rope_type": "dynamic", "factor": 2.0}
    assert context_length(config) == 512


def test_an_evaluator_that_returns_nan_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if only some of the values are NaN."""
    calls: list[int] = []

    class SometimesNaN(RecurrentEvaluator):
        def evaluate(self, forest: Any, sink: Any) -> None:
            calls.append(1)
            factor = float("nan") if len(calls) == 3 else 1.0
            super().evaluate(forest, lambda nodes, logits: sink(nodes, logits * factor))

    engine = engine_of("llama")
    make_evaluator = lambda: SometimesNaN(engine.forward, 1 << 20, chunked=True)  # noqa: E731
    selection = select_evaluator(engine.forward, [make_evaluator], TOLERANCE)
    assert selection.evaluator.name == "separate forwards"
    assert "nan" in selection.rejected[0]


@pytest.mark.parametrize("size", [0, 60_000])
def test_cached_states_stay_within_prefix_cache_bytes(size: int) -> None:
    engine = tiny.tiny_engine("mamba", prefix_cache_bytes=size)
    for start in range(10, 100, 10):
        tokens = [start, *range(10, 30)]
        np.testing.assert_allclose(
            engine.row(tokens), plain.row(engine.model, tokens), atol=TOLERANCE
        )
        states = engine.selection.evaluator._states.values()
        assert sum(state.bytes for state in states) <= size
    assert bool(states) == bool(size)


def _forward_without_positions(model: Any) -> Callable[..., Any]:
    forward = model.forward

    def without_positions(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("position_ids", None)
        return forward(*args, **kwargs)

    return without_positions


def test_a_model_that_is_wrong_on_trees_is_rejected_at_load(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A model that ignores positions is right on chains only: a slower evaluator is selected."""
    model = tiny.tiny_model("llama")
    broken = _forward_without_positions(model)
    broken.__signature__ = __import__("inspect").signature(model.forward)  # type: ignore[attr-defined]
    model.forward = broken
    engine = tiny.TfEngine(model, tiny.byte_level_tokenizer())
    assert engine.selection.evaluator.name != "one forward per tree"
    assert any(
        "one forward per tree: differs" in reason for reason in engine.info.details["rejected"]
    )
    tokens = list(range(5, 25))
    np.testing.assert_allclose(engine.row(tokens), plain.row(model, tokens), atol=TOLERANCE)
