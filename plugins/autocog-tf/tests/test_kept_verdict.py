"""The verdict of the test at load is kept for equal code, and never for code that may differ."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.llama import modeling_llama

from autocog_tf import TfLM
from autocog_tf.engine import TfEngine
from autocog_tf.evaluators.attention import AttentionEvaluator
from autocog_tf.evaluators.evaluator import Forward
from autocog_tf.evaluators.kept_verdict import Verdict, reason_not_to_keep, verdict_file
from autocog_tf.evaluators.selection import confirm_verdict
from tests.support.tf import plain_forward as plain
from tests.support.tf import tiny_models as tiny


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A saved tiny Llama, and an empty cache folder."""
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "cache"))
    tiny.tiny_model("llama").save_pretrained(tmp_path / "model")
    tiny.byte_level_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all forwards."""
    sizes: list[int] = []
    call = Forward.__call__

    def counted(self: Forward, tokens: torch.Tensor, *arguments: Any, **named: Any) -> Any:
        sizes.append(tokens.numel())
        return call(self, tokens, *arguments, **named)

    monkeypatch.setattr(Forward, "__call__", counted)
    return sizes


def load(folder: Path, **options: Any) -> Any:
    return TfLM(**TfLM.create(model_path=str(folder), device="cpu", **options)).engine


def test_a_second_load_confirms_the_kept_verdict_in_three_forwards(
    folder: Path, forwards: list[int]
) -> None:
    first = load(folder)
    assert len(forwards) > 30
    forwards.clear()
    second = load(folder)
    assert len(forwards) == 3
    assert second.selection.evaluator.name == first.selection.evaluator.name
    # What follows the selection is equal, too.
    assert second.selection.evaluator.cost_model == first.selection.evaluator.cost_model
    assert second.info.details == first.info.details
    tokens = list(range(5, 25))
    np.testing.assert_allclose(second.row(tokens), plain.row(second.model, tokens), atol=1e-4)


@pytest.mark.parametrize("damage", ["reverify", "cut", "text", "unknown", "remote"])
def test_all_is_tested_again_if_there_is_no_good_verdict_or_the_user_wants_it(
    folder: Path, forwards: list[int], damage: str
) -> None:
    from autocog_core.toolkit import cache_folder, write_cached

    engine = load(folder)
    options: dict[str, Any] = {}
    (file,) = (cache_folder() / "tf" / "verdicts").iterdir()
    if damage == "reverify":
        options = {"reverify": True}
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-3])
    elif damage == "text":
        write_cached(f"tf/verdicts/{file.name}", b'["no verdict"]')
    elif damage == "unknown":
        content = b'{"evaluator": "a later method", "difference": 0.0, "rejected": []}'
        write_cached(f"tf/verdicts/{file.name}", content)
    else:
        options = {"trust_remote_code": True}
    forwards.clear()
    assert load(folder, **options).selection.verdict == engine.selection.verdict
    assert len(forwards) > 30


def test_engines_over_objects_are_tested_each_time(folder: Path, forwards: list[int]) -> None:
    load(folder)
    forwards.clear()
    TfEngine(tiny.tiny_model("llama"), tiny.byte_level_tokenizer())
    assert len(forwards) > 30


def test_what_shapes_the_computation_is_in_the_name_of_the_file() -> None:
    def changed(name: str, change: Callable[[Any], object]) -> Any:
        model = tiny.tiny_model(name)
        change(model)
        return verdict_file(model)

    def set_theta(model: Any) -> None:
        model.config.rope_parameters = {"rope_type": "default", "rope_theta": 7.0}

    files = [
        changed("llama", lambda model: None),
        changed("llama", lambda model: model.to(torch.bfloat16)),
        changed("llama", lambda model: model.set_attn_implementation("eager")),
        changed("llama", set_theta),
        changed("qwen3", lambda model: None),
    ]
    assert None not in files
    assert len(set(files)) == len(files)
    # Other weights have the same verdict, and the short test.
    assert changed("llama", lambda model: model.lm_head.weight.data.mul_(2)) == files[0]


def _replace_forward(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = model.model.layers[0]
    layer.forward = lambda *arguments, **named: type(layer).forward(layer, *arguments, **named)


def _replace_method(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    attend = modeling_llama.LlamaAttention.forward

    def patched(self: Any, *arguments: Any, **named: Any) -> Any:
        return attend(self, *arguments, **named)

    # As `functools.wraps` does: only the code tells.
    patched.__module__, patched.__qualname__ = attend.__module__, attend.__qualname__
    monkeypatch.setattr(modeling_llama.LlamaAttention, "forward", patched)


def _replace_function(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rotate = modeling_llama.apply_rotary_pos_emb
    monkeypatch.setattr(modeling_llama, "apply_rotary_pos_emb", lambda *a, **b: rotate(*a, **b))


def _add_hook(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model.model.layers[1].register_forward_hook(lambda *arguments: None)


def _add_hook_of_all(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = torch.nn.modules.module._global_forward_hooks
    monkeypatch.setitem(hooks, -1, lambda *arguments: None)


def _add_own_module(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Scaled(torch.nn.Linear):
        pass

    model.lm_head.__class__ = Scaled


def _quantize(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model.hf_quantizer = object()


def _attend_by_another_function(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS as FUNCTIONS

    attend = FUNCTIONS["sdpa"]
    monkeypatch.setitem(FUNCTIONS._global_mapping, "sdpa", lambda *a, **b: attend(*a, **b))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_replace_forward, "forward of model.layers.0 was replaced"),
        (_replace_method, "LlamaAttention.forward"),
        (_replace_function, "was replaced"),
        (_add_hook, "model.layers.1 has hooks"),
        (_add_hook_of_all, "hooks"),
        (_add_own_module, "it has modules of"),
        (_quantize, "it is quantized"),
        (_attend_by_another_function, "the attention sdpa was replaced"),
    ],
    ids=lambda value: getattr(value, "__name__", "reason").strip("_"),
)
def test_nothing_is_kept_for_a_model_with_code_of_others(
    change: Callable[..., None], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny.tiny_model("llama")
    assert reason_not_to_keep(model) == ""
    change(model, monkeypatch)
    assert reason in reason_not_to_keep(model)
    assert verdict_file(model) is None


def test_the_short_test_refuses_a_verdict_that_does_not_hold() -> None:
    """Of a model that ignores positions, and of one that mixes the rows of a batch."""
    kept = Verdict(evaluator="one forward per tree", difference=0.0, rejected=())

    def confirm(model: Any) -> Any:
        forward = Forward(model)
        candidates = [lambda: AttentionEvaluator(forward, 1 << 20, 512, {"": None})]
        return confirm_verdict(forward, candidates, kept, 1e-4)

    assert confirm(tiny.tiny_model("llama").eval()) is not None
    model = tiny.tiny_model("llama").eval()
    forward = model.forward

    def without_positions(*arguments: Any, **named: Any) -> Any:
        named.pop("position_ids", None)
        return forward(*arguments, **named)

    without_positions.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    model.forward = without_positions
    assert confirm(model) is None
    model = tiny.tiny_model("llama").eval()
    layer = model.model.layers[1]
    original = layer.forward

    def mixing(states: torch.Tensor, *arguments: Any, **named: Any) -> Any:
        output = original(states, *arguments, **named)
        return output + output[:1] if len(output) > 1 else output

    layer.forward = mixing
    assert confirm(model) is None
