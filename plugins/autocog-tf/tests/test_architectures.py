"""Scores equal plain separate forwards on every kind of architecture."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from autocog_core import TreeQuery
from autocog_core.types.token_tree import TokenTree
from autocog_tf import TfLM
from autocog_tf.engine import context_length, may_be_masked
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
    assert engine.selection.evaluator.name == "one forward a tree"
    assert engine.selection.difference < 1e-5


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_models_branch_copied_states(name: str) -> None:
    assert engine_of(name).selection.evaluator.name.startswith("one forward a level")


def test_mamba_1_is_not_given_several_tokens_on_a_state() -> None:
    # It would be wrong without an error: found at load, and said.
    verdict = engine_of("mamba").selection
    assert "token by token" in verdict.evaluator.name
    assert "differs" in verdict.rejected[0]
    assert "rejected" in engine_of("mamba").info.details


@pytest.mark.parametrize("name", MODELS)
def test_every_row_equals_a_plain_forward_in_any_order_of_calls(name: str) -> None:
    """Calls that share, extend, shorten and repeat prefixes, against no cache at all."""
    engine = engine_of(name)
    generator = np.random.default_rng(5)
    stem = generator.integers(3, 480, 30).tolist()
    for _ in range(count(normal=15, soak=40)):
        cut = int(generator.integers(1, len(stem)))
        tokens = stem[:cut] + generator.integers(3, 480, int(generator.integers(0, 6))).tolist()
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
        base = model.as_model().encode(prompt)
        for score in result.scores:
            kept = _base_of(model, prompt, choices, base, score.tokens)
            expected = plain.token_logprobs(model.engine.model, kept, score.tokens)
            np.testing.assert_allclose(score.token_logprobs, expected, atol=TOLERANCE)


def _base_of(
    model: TfLM, prompt: str, choices: list[str], encoded: list[int], decided: tuple[int, ...]
) -> list[int]:
    """The tokens before `decided`, found from the joint tokenization of prompt and choice."""
    for choice in choices:
        joint = model.as_model().encode(prompt + choice)
        if tuple(joint[-len(decided) :]) == decided:
            return joint[: -len(decided)]
    raise AssertionError(f"no joint tokenization ends with {decided}, prompt {encoded}")


def test_gemma_is_exact_far_beyond_its_window() -> None:
    engine = engine_of("gemma3")
    assert engine.config.sliding_window == 8
    prefix = np.random.default_rng(1).integers(3, 480, 60).tolist()
    tree = TokenTree.build([[5, 6, 7, 8], [5, 6, 9], [10, 11]])
    for cut in (60, 41, 59, 60):
        query = TreeQuery(prefix=prefix[:cut], tokens=tree.tokens, parents=tree.parents)
        found = engine.score_trees([query])[0].values
        for place, parent in enumerate(tree.parents.tolist()):
            path: list[int] = []
            while parent >= 0:
                path.insert(0, int(tree.tokens[parent]))
                parent = int(tree.parents[parent])
            expected = plain.row(engine.model, prefix[:cut] + path)[tree.tokens[place]]
            assert abs(found[place] - expected) < TOLERANCE


def test_eager_attention_gets_an_additive_mask() -> None:
    # A boolean mask would be added to the scores as 0 and 1: wrong without an error.
    model = tiny.tiny_model("llama")
    model.set_attn_implementation("eager")
    engine = tiny.TfEngine(model, tiny.byte_level_tokenizer())
    assert engine.selection.evaluator.name == "one forward a tree"
    tokens = list(range(5, 25))
    np.testing.assert_allclose(engine.row(tokens), plain.row(model, tokens), atol=TOLERANCE)


def test_layers_that_a_mask_of_ours_cannot_describe_are_not_masked() -> None:
    model = tiny.tiny_model("qwen3")
    assert may_be_masked(model, model.config)
    model.config.layer_types = ["chunked_attention", "full_attention", "full_attention"]
    assert not may_be_masked(model, model.config)


def test_rotary_embeddings_that_change_with_length_cap_the_context() -> None:
    config = tiny.tiny_model("llama").config
    assert context_length(config) == 512
    config.rope_parameters = {"rope_type": "longrope", "original_max_position_embeddings": 128}
    assert context_length(config) == 128
    config.rope_parameters = {"rope_type": "dynamic", "factor": 2.0}
    assert context_length(config) == 512


def test_an_evaluator_that_answers_nan_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where only some of what is tried is NaN."""
    calls: list[int] = []

    class Sometimes(RecurrentEvaluator):
        def evaluate(self, forest: Any, sink: Any) -> None:
            calls.append(1)
            spoil = len(calls) == 3
            super().evaluate(forest, lambda n, x: sink(n, x * float("nan") if spoil else x))

    engine = engine_of("llama")
    make = lambda: Sometimes(engine.forward, 1 << 20, chunked=True)  # noqa: E731
    verdict = select_evaluator(engine.forward, [make], TOLERANCE)
    assert verdict.evaluator.name == "separate forwards"
    assert "nan" in verdict.rejected[0]


@pytest.mark.parametrize("size", [0, 60_000])
def test_kept_states_stay_within_their_bytes(size: int) -> None:
    engine = tiny.tiny_engine("mamba", prefix_cache_bytes=size)
    for start in range(10, 100, 10):
        tokens = [start, *range(10, 30)]
        np.testing.assert_allclose(
            engine.row(tokens), plain.row(engine.model, tokens), atol=TOLERANCE
        )
        states = engine.selection.evaluator._states.values()
        assert sum(state.bytes for state in states) <= size
    assert bool(states) == bool(size)


def _broken_tree(model: Any) -> Callable[..., Any]:
    forward = model.forward

    def without_positions(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("position_ids", None)
        return forward(*args, **kwargs)

    return without_positions


def test_a_model_that_is_wrong_on_trees_is_noticed_at_load(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A model that ignores positions passes for chains only: it falls back, and says so."""
    model = tiny.tiny_model("llama")
    broken = _broken_tree(model)
    broken.__signature__ = __import__("inspect").signature(model.forward)  # type: ignore[attr-defined]
    model.forward = broken
    engine = tiny.TfEngine(model, tiny.byte_level_tokenizer())
    assert engine.selection.evaluator.name != "one forward a tree"
    assert any(
        "one forward a tree: differs" in reason for reason in engine.info.details["rejected"]
    )
    tokens = list(range(5, 25))
    np.testing.assert_allclose(engine.row(tokens), plain.row(model, tokens), atol=TOLERANCE)
