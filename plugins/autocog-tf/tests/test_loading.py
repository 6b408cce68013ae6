"""Loading, sharing and closing; invalid input is one clear error, and the next call works."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from autocog_core import (
    ConfigError,
    InputError,
    ModelLoadError,
    NumericsError,
    OutOfMemoryError,
    load,
)
from autocog_core.errors import ClosedError, ContextOverflowError
from autocog_tf import TfLM
from autocog_tf.evaluators.out_of_memory import retry_with_smaller_batches
from autocog_tf.fingerprint import compute_fingerprint
from tests.support.tf import tiny_models as tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model saved as Transformers saves one."""
    path = tmp_path_factory.mktemp("tiny-llama")
    tiny.tiny_model("llama").save_pretrained(path)
    tiny.byte_level_tokenizer().save_pretrained(path)
    return path


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )


def test_neither_the_import_of_the_plugin_nor_autocog_backends_imports_torch() -> None:
    code = (
        "import sys, autocog_core, autocog_tf; from autocog_core.config import plugins;"
        "from autocog_core.hooks import manager;"
        "names = [p.name for p in plugins.installed_plugins()]; assert 'tf' in names, names;"
        "hooks = manager.hooks_of(plugins.load_class('tf'));"
        "assert 'greedy_tree_impl' in hooks, hooks;"
        "bad = {'torch', 'transformers'} & set(sys.modules); assert not bad, bad"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            str(Path(sys.executable).with_name("autocog")),
            "backends",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "tf" in done.stdout
    assert " torch\n" not in done.stderr


def test_a_missing_engine_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import autocog_core as a\n"
        "try: a.load(backend='tf', options={'model_path': 'gpt2'})\n"
        "except a.PluginDependencyError as error: print(error)\n"
        "a.load(backend='random').choose('x', ['a', 'b']); print('still works')"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    message, then = done.stdout.strip().splitlines()
    assert '"torch"' in message
    assert "pip install autocog-tf" in message
    assert then == "still works"


def test_backends_on_one_engine_share_it(folder: Path) -> None:
    created = TfLM.create(model_path=str(folder), device="cpu")
    first, second = TfLM(**created), TfLM(**created, completion_kwargs={"max_new_tokens": 2})
    assert first.engine is second.engine
    assert first.lock is second.lock
    first.close()
    first.close()
    with pytest.raises(ClosedError):
        first.complete("x")
    assert len(second.complete("The").tokens) <= 2


def test_the_last_backend_on_an_engine_releases_its_memory(folder: Path) -> None:
    created = TfLM.create(model_path=str(folder), device="cpu")
    weights = weakref.ref(created["engine"].model)
    first, second = TfLM(**created).as_model(), TfLM(**created).as_model()
    created.clear()
    gc.collect()
    gc.disable()
    try:
        for model in (first, second):
            assert weights() is not None
            model.choose("The", [" a", " b"])
            model.complete("The", max_tokens=2)
            with pytest.raises(InputError):
                model.complete("The", max_tokens=-1)
            model.close()
        # Without Python's garbage collector.
        assert weights() is None
    finally:
        gc.enable()


def test_models_of_the_config_with_one_engine_load_it_once(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "autocog.toml"
    (tmp_path / "weights").symlink_to(folder)
    config.write_text(
        '[models.a]\nbackend = "tf"\nengine = "one"\n'
        'options = { model_path = "./weights", device = "cpu" }\ncompletion = { max_tokens = 2 }\n'
        '[models.b]\nengine = "one"\ncompletion = { max_tokens = 4 }\n'
    )
    with load("a", config=config) as a, load("b", config=config) as b:
        assert a._backend._engine is b._backend._engine  # type: ignore[attr-defined]
        assert len(a.complete("The", stop=[]).tokens) == 2
        a.close()
        assert len(b.complete("The").tokens) == 4


def test_the_fingerprint_of_a_folder_depends_on_its_contents(folder: Path, tmp_path: Path) -> None:
    def fingerprint(path: Path, **options: Any) -> str:
        with load(backend="tf", options={"model_path": str(path), "device": "cpu", **options}) as m:
            return m.info.fingerprint

    same = fingerprint(folder)
    assert same == fingerprint(folder)
    assert same != fingerprint(folder, dtype="bfloat16")
    other = tmp_path / "other"
    tiny.tiny_model("llama", seed=1).save_pretrained(other)
    tiny.byte_level_tokenizer().save_pretrained(other)
    assert same != fingerprint(other)


def test_the_fingerprint_depends_on_the_type_of_device(folder: Path) -> None:
    # Every machine has the device "meta".
    model = tiny.tiny_model("llama")
    before = compute_fingerprint(model, "tokenizer", str(folder))
    assert compute_fingerprint(model, "tokenizer", str(folder)) == before
    assert compute_fingerprint(model.to("meta"), "tokenizer", str(folder)) != before


BAD = {
    "unknown option": ({"model_pth": "x"}, ConfigError, 'did you mean "model_path"'),
    "wrong type": ({"prefix_cache_bytes": "much"}, ConfigError, "options.prefix_cache_bytes"),
    "wrong dtype": ({"dtype": "float8"}, ConfigError, "options.dtype"),
    "missing file": ({"model_path": "./nowhere.gguf"}, ConfigError, "no file or folder"),
    "missing package": ({"model_path": "package:nowhere/x.gguf"}, ConfigError, "nowhere"),
    "missing package file": ({"model_path": "package:numpy/x.gguf"}, ConfigError, "has no file"),
    "unknown device": ({"device": "abacus"}, ConfigError, "unknown device"),
    "no such hub name": (
        {"model_path": "nobody/nothing", "local_files_only": True},
        ModelLoadError,
        "nobody/nothing",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_option_is_one_clear_error(case: str, folder: Path) -> None:
    options, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        load(backend="tf", options=options)
    assert len(str(caught.value).splitlines()) == 1
    with load(backend="tf", options={"model_path": str(folder), "device": "cpu"}) as model:
        assert model.choose("The", [" a", " b"]).scores


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without cuda")
def test_a_missing_device_is_a_clear_error(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no cuda device"):
        load(backend="tf", options={"model_path": str(folder), "device": "cuda"})


@pytest.mark.parametrize("content", [b"", b"garbage", b"GGUF", b"GGUF" + bytes(200)])
def test_a_file_that_is_not_a_model_is_a_load_error(
    content: bytes, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "weights.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelLoadError, match=r"weights\.gguf"):
        load(backend="tf", options={"model_path": str(path)})
    # Beside it are only the hashes of files.
    left = [p for p in (tmp_path / "cache" / "tf").rglob("*") if p.is_file()]
    assert [p for p in left if p.suffix != ".lock"] == []


def test_a_truncated_folder_is_a_load_error(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    weights = (folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelLoadError, match="cannot load"):
        load(backend="tf", options={"model_path": str(tmp_path)})


def test_a_prompt_longer_than_the_context_is_refused_and_the_next_call_works() -> None:
    model = TfLM(engine=tiny.tiny_engine())
    with pytest.raises(ContextOverflowError, match="context of 512"):
        model.choose("word " * 600, ["a", "b"])
    with pytest.raises(ContextOverflowError):
        model.greedy(list(range(3, 400)) * 2)
    assert model.choose("word", ["a", "b"]).scores


def test_nan_logits_are_an_error_and_not_an_answer() -> None:
    engine = tiny.tiny_engine()
    model = TfLM(engine=engine)
    weight = engine.model.model.norm.weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight.fill_(float("nan"))
    engine.clear_caches()
    for call in (
        lambda: model.greedy("The"),
        lambda: model.choose("The", ["a", "b"]),
        lambda: model.as_model().next_tokens("The", 3),
        lambda: model.complete("The", max_tokens=2),
        lambda: model.complete("The", max_tokens=2, temperature=1.0),
    ):
        with pytest.raises(NumericsError, match="NaN"):
            call()
    with torch.no_grad():
        weight.copy_(before)
    engine.clear_caches()
    assert np.isfinite(model.greedy("The")).all()


def test_out_of_memory_halves_the_forwards_until_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tiny.tiny_engine()
    model = TfLM(engine=engine)
    text, choices = "The capital of France is Paris. " * 6, ["a", "b", "cd"]
    expected = model.choose(text, choices)
    sizes: list[int] = []
    forward = engine.model.model.forward

    def limited(input_ids: Any, **kwargs: Any) -> Any:
        sizes.append(input_ids.shape[1])
        if input_ids.shape[1] > 40:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return forward(input_ids=input_ids, **kwargs)

    engine.clear_caches()
    monkeypatch.setattr(engine.model.model, "forward", limited)
    result = model.choose(text, choices)
    assert max(sizes) > 40
    assert sizes[-1] <= 40
    for a, b in zip(result.scores, expected.scores, strict=True):
        assert abs(a.logprob - b.logprob) < 1e-4


def test_out_of_memory_in_the_smallest_batches_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = tiny.tiny_engine()
    model = TfLM(engine=engine)
    forward = engine.model.model.forward

    def never(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")

    monkeypatch.setattr(engine.model.model, "forward", never)
    with pytest.raises(OutOfMemoryError, match="smallest batches"):
        model.choose("The capital", ["a", "b"])
    monkeypatch.setattr(engine.model.model, "forward", forward)
    assert model.choose("The capital", ["a", "b"]).scores
    # Later calls use the full size again.
    assert engine.selection.evaluator._chunk_tokens == 512


def test_the_tensors_of_a_failed_attempt_are_released_before_the_next() -> None:
    engine = tiny.tiny_engine()
    references: list[weakref.ref[Any]] = []

    def attempt() -> int:
        if references:
            assert references[0]() is None
            return 1
        activations = torch.zeros(10)
        references.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("CUDA out of memory (simulated)")

    assert retry_with_smaller_batches(attempt, engine.selection.evaluator) == 1


def test_samples_that_do_not_fit_together_are_sampled_in_smaller_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = tiny.tiny_engine()
    model = TfLM(engine=engine)
    forward = engine.model.model.forward
    batches: list[int] = []

    def limited(input_ids: Any, **kwargs: Any) -> Any:
        batches.append(input_ids.shape[0])
        if input_ids.shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return forward(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(engine.model.model, "forward", limited)
    result = model.complete("The capital", n=5, temperature=1.0, max_tokens=3, seed=1)
    assert len(result.alternatives) == 4
    assert max(batches) == 5
    assert set(batches[-3:]) == {1}


def test_a_stream_is_not_restarted_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tiny.tiny_engine()
    model = TfLM(engine=engine)
    forward = engine.model.model.forward
    steps: list[int] = []

    def limited(input_ids: Any, **kwargs: Any) -> Any:
        steps.append(1)
        if len(steps) == 12:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return forward(input_ids=input_ids, **kwargs)

    expected = model.complete("The capital", max_tokens=30, temperature=1.0, seed=1).text
    monkeypatch.setattr(engine.model.model, "forward", limited)
    pieces: list[str] = []
    with pytest.raises(OutOfMemoryError):
        model.complete("The capital", max_tokens=30, temperature=1.0, seed=1, on_text=pieces.append)
    assert len(steps) == 12
    assert expected.startswith("".join(pieces))


def test_other_runtime_errors_are_not_treated_as_out_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = tiny.tiny_engine()
    calls: list[int] = []

    def broken(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(engine.model.model, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        engine.row([1, 2, 3])
    assert len(calls) == 1


def test_a_model_that_lacks_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    """Transformers fills them with random numbers, other ones at each load."""
    for file in folder.iterdir():
        shutil.copy(file, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    lacking = {name: value for name, value in weights.items() if not name.startswith("lm_head")}
    assert len(lacking) < len(weights)
    save_file(lacking, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match=r"lacks the weights lm_head\.weight") as caught:
        load(backend="tf", options={"model_path": str(tmp_path)})
    assert "with its head" in caught.value.hint


@pytest.mark.parametrize(("has_peft", "hint"), [(False, "pip install peft"), (True, "merge it")])
def test_an_adapter_that_cannot_be_loaded_has_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_peft: bool, hint: str
) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    monkeypatch.setattr("autocog_tf.loading.find_spec", lambda name: object() if has_peft else None)
    with pytest.raises(ModelLoadError) as caught:
        load(backend="tf", options={"model_path": str(tmp_path)})
    assert hint in caught.value.hint
