"""Completions: greedy equals one token at a time, stops on bytes, seeds, and refused options."""

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


def stepwise(engine: Any, prompt: list[int], count: int) -> tuple[list[int], list[float]]:
    """Greedy decoding with a plain forward for every token."""
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
def test_greedy_completion_equals_one_plain_forward_a_token(name: str) -> None:
    model = TfLM(engine=tiny.tiny_engine(name))
    for prompt in (PROMPT, PROMPT + " Paris. " * 8, PROMPT):
        tokens, logprobs = stepwise(model.engine, model.as_model().encode(prompt), 12)
        result = model.complete(prompt, max_tokens=12)
        assert list(result.tokens) == tokens
        assert result.logprobs is not None
        np.testing.assert_allclose(result.logprobs, logprobs, atol=1e-4)


def test_a_kept_prompt_is_reused_and_the_completion_stays_the_same() -> None:
    engine = tiny.tiny_engine("llama")
    model = TfLM(engine=engine)
    prompt = PROMPT + " Rome. The capital of Italy is Paris." * 3
    cold = model.complete(prompt, max_tokens=10)
    engine.row(model.as_model().encode(prompt))
    seen: list[int] = []
    hook = engine.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    warm = model.complete(prompt, max_tokens=10)
    hook.remove()
    assert seen == [1] * len(warm.tokens)
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
def test_nothing_that_is_deprecated_is_used(
    name: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """Not even by its former name, which Transformers warns of."""
    tiny.tiny_model(name).save_pretrained(tmp_path)
    tiny.byte_level_tokenizer().save_pretrained(tmp_path)
    with load(backend="tf", options={"model_path": str(tmp_path), "device": "cpu"}) as model:
        model.choose(PROMPT, [" Paris", " Rome", " the inclined plane"])
        # A beginning that is long enough to be reused.
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


def test_several_samples_are_siblings_and_differ() -> None:
    model = TfLM(engine=tiny.tiny_engine())
    result = model.complete(PROMPT, max_tokens=6, temperature=1.5, n=4, seed=0)
    found = [result, *result.alternatives]
    assert len(found) == 4
    assert len({sample.tokens for sample in found}) > 1
    prompt = model.as_model().encode(PROMPT)
    for sample in found:
        expected = plain.token_logprobs(model.engine.model, prompt, sample.tokens)
        np.testing.assert_allclose(sample.logprobs or (), expected, atol=1e-4)


def test_stops_match_wherever_tokens_begin_or_end() -> None:
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


def test_the_checkpoints_generation_defaults_do_not_slip_in() -> None:
    engine = tiny.tiny_engine()
    expected = TfLM(engine=engine).complete(PROMPT, max_tokens=10)
    own = engine.model.generation_config
    own.repetition_penalty, own.do_sample, own.temperature, own.top_k = 5.0, True, 3.0, 2
    assert TfLM(engine=engine).complete(PROMPT, max_tokens=10).tokens == expected.tokens
    assert engine.model.generation_config is own


def test_core_completing_over_single_rows_gives_the_same_tokens() -> None:
    """The engine's own loop against core's, which knows nothing of `generate`."""

    class WithoutGenerate(TfLM):
        complete_impl = None  # type: ignore[assignment]

    engine = tiny.tiny_engine()
    own = Model(TfLM(engine=engine)).complete(PROMPT, max_tokens=15, stop="zz")
    core = Model(WithoutGenerate(engine=engine)).complete(PROMPT, max_tokens=15, stop="zz")
    assert own.tokens == core.tokens
    np.testing.assert_allclose(own.logprobs or (), core.logprobs or (), atol=1e-4)


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
