"""Completions: greedy decoding, stop strings on bytes, seeds, and unsupported options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autocog_core import CapabilityError, ContextOverflowError, Model, load
from autocog_tf import TfLM
from tests.support.tf import plain_forward as plain
from tests.support.tf import tiny_models as tiny

PROMPT = "The capital of France is"


def decode_greedily(engine: Any, prompt: list[int], count: int) -> tuple[list[int], list[float]]:
    """Return tokens and log-probabilities of greedy decoding, one plain forward per token."""
    tokens: list[int] = []
    logprobs: list[float] = []
    for _ in range(count):
        row = plain.row(engine.model, [*prompt, *tokens])
        tokens.append(int(row.argmax()))
        logprobs.append(float(row.max()))
        if tokens[-1] in engine.info.eos:
            break
    return tokens, logprobs


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3", "mistral", "mamba", "qwen3_next"])
def test_greedy_completion_equals_one_plain_forward_per_token(name: str) -> None:
    model = TfLM(engine=tiny.tiny_engine(name))
    for prompt in (PROMPT, PROMPT + " Paris. " * 8, PROMPT):
        tokens, logprobs = decode_greedily(model.engine, model.as_model().encode(prompt), 12)
        result = model.complete(prompt, max_tokens=12)
        assert list(result.tokens) == tokens
        assert result.logprobs is not None
        np.testing.assert_allclose(result.logprobs, logprobs, atol=1e-4)


def test_a_cached_prompt_is_reused_and_the_completion_stays_the_same() -> None:
    engine = tiny.tiny_engine("llama")
    model = TfLM(engine=engine)
    prompt = PROMPT + " Rome. The capital of Italy is Paris." * 3
    cold = model.complete(prompt, max_tokens=10)
    engine.row(model.as_model().encode(prompt))
    lengths: list[int] = []
    hook = engine.model.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    warm = model.complete(prompt, max_tokens=10)
    hook.remove()
    assert lengths == [1] * len(warm.tokens)
    assert warm.tokens == cold.tokens
    assert warm.logprobs is not None
    assert cold.logprobs is not None
    np.testing.assert_allclose(warm.logprobs, cold.logprobs, atol=1e-4)
    several = model.complete(prompt, max_tokens=10, n=3, temperature=1.0, seed=3)
    engine.clear_caches()
    again = model.complete(prompt, max_tokens=10, n=3, temperature=1.0, seed=3)
    assert [c.tokens for c in (several, *several.alternatives)] == [
        c.tokens for c in (again, *again.alternatives)
    ]


@pytest.mark.parametrize("name", ["llama", "mamba", "qwen3_next"])
def test_no_deprecated_api_is_used(
    name: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """Not even under a former name: Transformers warns about it."""
    tiny.tiny_model(name).save_pretrained(tmp_path)
    tiny.byte_level_tokenizer().save_pretrained(tmp_path)
    with load(backend="tf", options={"model_path": str(tmp_path), "device": "cpu"}) as model:
        model.choose(PROMPT, [" Paris", " Rome", " the inclined plane"])
        # Long enough for its cached prefix to be reused.
        prompt = PROMPT + " Rome. The capital of Italy is" * 3
        model.choose(prompt, [" Paris", " Rome"])
        model.complete(prompt, max_tokens=2)
    messages = [str(warning.message) for warning in recwarn]
    assert [message for message in messages if "deprecated" in message] == []


def test_sampled_tokens_carry_the_models_own_log_probabilities() -> None:
    """Before temperature, filters and penalties."""
    model = TfLM(engine=tiny.tiny_engine())
    prompt = model.as_model().encode(PROMPT)
    result = model.complete(
        PROMPT, max_tokens=8, temperature=3.0, top_k=40, repetition_penalty=1.8, seed=11
    )
    expected = plain.token_logprobs(model.engine.model, prompt, result.tokens)
    np.testing.assert_allclose(result.logprobs or (), expected, atol=1e-4)


def test_a_seed_repeats_a_sample_and_leaves_the_callers_random_state_alone() -> None:
    model = TfLM(engine=tiny.tiny_engine())
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = model.complete(PROMPT, max_tokens=12, temperature=1.0, seed=1)
    assert torch.rand(1) == expected
    assert model.complete(PROMPT, max_tokens=12, temperature=1.0, seed=1).tokens == first.tokens
    assert model.complete(PROMPT, max_tokens=12, temperature=1.0, seed=2).tokens != first.tokens


def test_several_samples_are_alternatives_and_differ() -> None:
    model = TfLM(engine=tiny.tiny_engine())
    result = model.complete(PROMPT, max_tokens=6, temperature=1.5, n=4, seed=0)
    samples = [result, *result.alternatives]
    assert len(samples) == 4
    assert len({sample.tokens for sample in samples}) > 1
    prompt = model.as_model().encode(PROMPT)
    for sample in samples:
        expected = plain.token_logprobs(model.engine.model, prompt, sample.tokens)
        np.testing.assert_allclose(sample.logprobs or (), expected, atol=1e-4)


def test_stop_strings_match_across_token_borders() -> None:
    model = TfLM(engine=tiny.tiny_engine())
    full = model.complete(PROMPT, max_tokens=30, seed=4, temperature=1.0)
    raw = full.text.encode(errors="replace").decode()
    stop = next(raw[i : i + 3] for i in range(4, len(raw) - 3) if "\ufffd" not in raw[i : i + 3])
    result = model.complete(
        PROMPT, max_tokens=30, seed=4, temperature=1.0, stop=[stop, "never seen"]
    )
    assert result.finish_reason == "stop"
    assert result.stop_string == stop
    assert result.text == raw[: raw.index(stop)]
    assert full.tokens[: len(result.tokens)] == result.tokens
    pieces = list(model.stream(PROMPT, max_tokens=30, seed=4, temperature=1.0, stop=stop))
    assert "".join(pieces) == result.text


def test_the_checkpoints_generation_defaults_are_ignored() -> None:
    engine = tiny.tiny_engine()
    expected = TfLM(engine=engine).complete(PROMPT, max_tokens=10)
    defaults = engine.model.generation_config
    defaults.repetition_penalty, defaults.do_sample = 5.0, True
    defaults.temperature, defaults.top_k = 3.0, 2
    assert TfLM(engine=engine).complete(PROMPT, max_tokens=10).tokens == expected.tokens
    assert engine.model.generation_config is defaults


def test_completions_of_core_over_single_rows_have_the_same_tokens() -> None:
    """The loop of `generate` equals that of core."""

    class WithoutGenerate(TfLM):
        complete_impl = None  # type: ignore[assignment]

    engine = tiny.tiny_engine()
    expected = Model(TfLM(engine=engine)).complete(PROMPT, max_tokens=15, stop="zz")
    core = Model(WithoutGenerate(engine=engine)).complete(PROMPT, max_tokens=15, stop="zz")
    assert core.tokens == expected.tokens
    np.testing.assert_allclose(core.logprobs or (), expected.logprobs or (), atol=1e-4)


def test_completion_kwargs_are_defaults_with_transformers_name_too() -> None:
    created = {"engine": tiny.tiny_engine()}
    short = TfLM(**created, completion_kwargs={"max_new_tokens": 3})
    longer = TfLM(**created, completion_kwargs={"max_tokens": 7})
    assert len(short.complete(PROMPT).tokens) == 3
    assert len(longer.complete(PROMPT).tokens) == 7
    assert len(short.complete(PROMPT, max_tokens=5).tokens) == 5


def test_an_unknown_option_is_refused_and_the_next_call_works() -> None:
    model = TfLM(engine=tiny.tiny_engine())
    with pytest.raises(CapabilityError, match="mirostat"):
        model.complete(PROMPT, mirostat=2)
    with pytest.raises(ContextOverflowError, match="512"):
        model.complete(PROMPT, max_tokens=600)
    assert model.complete(PROMPT, max_tokens=2).finish_reason == "length"


def test_abandoning_a_stream_ends_the_completion() -> None:
    model = TfLM(engine=tiny.tiny_engine())
    stream = model.stream(PROMPT, max_tokens=400, temperature=1.0, seed=0)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert model.complete(PROMPT, max_tokens=2).tokens
