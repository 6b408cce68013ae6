"""Packed weights give the numbers of plain ones, or an error at load."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autocog_core import ConfigError, load
from autocog_tf.evaluators import packed_weights
from autocog_tf.evaluators.packed_weights import has_packed_weights, pack_weights
from tests.support.tf import plain_forward as plain
from tests.support.tf import tiny_models as tiny


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> Path:
    """A saved tiny model of some architecture, and an empty cache folder."""
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "cache"))
    tiny.tiny_model(getattr(request, "param", "llama")).save_pretrained(tmp_path / "model")
    tiny.byte_level_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


# GPT-2's layers have transposed weights, and biases.
@pytest.mark.parametrize("folder", ["llama", "gpt2"], indirect=True)
def test_scores_are_those_of_plain_weights(folder: Path) -> None:
    options = {"model_path": str(folder), "device": "cpu"}
    choices = [" a", " ab", " abc b", " b a c"]
    with load(backend="tf", options=options) as model:
        expected = [score.logprob for score in model.choose("a b", choices).scores]
        fingerprint = model.info.fingerprint
    # The second load confirms the verdict that the first has kept.
    for _ in range(2):
        with load(backend="tf", options={**options, "packed_weights": True}) as model:
            engine: Any = model._backend.engine  # type: ignore[attr-defined]
            assert has_packed_weights(engine.model)
            assert engine.selection.evaluator.name == "one forward per tree"
            actual = [score.logprob for score in model.choose("a b", choices).scores]
            np.testing.assert_allclose(actual, expected, atol=1e-4)
            tokens = list(range(5, 25))
            np.testing.assert_allclose(
                engine.row(tokens), plain.row(tiny_copy(engine.model), tokens), atol=1e-4
            )
            assert model.info.fingerprint != fingerprint


def tiny_copy(model: Any) -> Any:
    """A model with the same weights, which are not packed."""
    copy = type(model)(model.config)
    copy.load_state_dict(model.state_dict())
    return copy.eval()


def test_changed_weights_and_gradients_are_computed_by_the_plain_layer() -> None:
    layers = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 4, bias=False))
    rows = torch.randn(2, 3, 8)
    expected = layers(rows)
    layers.device, layers.dtype = torch.device("cpu"), torch.float32  # type: ignore[assignment]
    assert pack_weights(layers) == 2
    layers(rows).sum().backward()
    assert layers[0].weight.grad is not None
    with torch.inference_mode():
        torch.testing.assert_close(layers(rows), expected)
        torch.testing.assert_close(layers(rows[:1, :1]), expected[:1, :1])
    with torch.no_grad():
        layers[1].weight.mul_(2)
        torch.testing.assert_close(layers(rows), 2 * expected)
        layers[1].weight = nn.Parameter(torch.zeros(4, 6))
        assert not layers(rows).any()


def test_a_packed_layer_is_freed_with_its_last_reference() -> None:
    layers = nn.Sequential(nn.Linear(8, 6))
    layers.device, layers.dtype = torch.device("cpu"), torch.float32  # type: ignore[assignment]
    pack_weights(layers)
    layer = weakref.ref(layers[0])
    gc.disable()
    try:
        del layers
        assert layer() is None
    finally:
        gc.enable()


def test_what_cannot_be_packed_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"model_path": str(folder), "device": "cpu", "packed_weights": True}
    with pytest.raises(ConfigError, match="bfloat16 on cpu cannot be packed"):
        load(backend="tf", options={**options, "dtype": "bfloat16"})
    monkeypatch.setattr(packed_weights, "_TOLERANCE", -1.0)
    with pytest.raises(ConfigError, match=r"computes wrong numbers in .*, packed"):
        load(backend="tf", options=options)
    monkeypatch.setattr(packed_weights, "_ROWS", "sixteen")
    with pytest.raises(ConfigError, match="cannot pack weights"):
        load(backend="tf", options=options)
