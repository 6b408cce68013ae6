"""Loading, sharing and closing; bad input gets one clear error, and the next call works."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import psutil
import pytest

from autocog_core import ConfigError, ModelLoadError, load
from autocog_core.errors import ClosedError, ContextOverflowError
from autocog_llamacpp import LLaMa
from autocog_llamacpp.gguf.locate import find_file, find_parts
from autocog_llamacpp.llama.memory import CACHE_TYPES
from tests.support.llamacpp import gguf_models, plain_llama
from tests.support.soak import SOAK

GgufFile = Callable[..., Path]

PROMPT = "The capital of France is"
CHOICES = [" Paris", " the", "a", "10"]
TOLERANCE = 1e-4

#: Heads of 32 values, which can be quantized; the tensors have the same shapes with heads of 16.
WIDE_HEADS = gguf_models.set_metadata(
    llama__attention__head_count=2,
    llama__attention__head_count_kv=1,
    llama__rope__dimension_count=32,
)


@pytest.fixture(scope="module")
def path(gguf_file: GgufFile) -> Path:
    return gguf_file("llama")


@pytest.fixture
def open_llama() -> Iterator[Callable[..., Any]]:
    """Load any file, in exact mode by default."""
    made: list[Any] = []

    def make(path: Path | str, **options: Any) -> Any:
        defaults = {"n_ctx": 256, "exact": True, "n_threads": 1}
        made.append(LLaMa(**LLaMa.create(model_path=str(path), **{**defaults, **options})))
        return made[-1]

    yield make
    for model in made:
        model.close()


def run_python(code: str, *arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )


def logprobs(model: Any, prompt: str = PROMPT) -> list[float]:
    return [score.logprob for score in model.choose(prompt, CHOICES).scores]


def test_importing_the_plugin_and_listing_backends_imports_no_engine() -> None:
    code = (
        "import sys, autocog_core, autocog_llamacpp; from autocog_core.config import plugins;"
        "from autocog_core.hooks import manager;"
        "names = [p.name for p in plugins.installed_plugins()]; assert 'llamacpp' in names, names;"
        "hooks = manager.hooks_of(plugins.load_class('llamacpp'));"
        "assert 'greedy_tree_impl' in hooks, hooks;"
        "bad = {'llama_cpp', 'jinja2', 'huggingface_hub', 'torch'} & set(sys.modules);"
        "assert not bad, bad"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-X", "importtime", "-m", "autocog_core.cli.main", "backends"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert " llama_cpp\n" not in done.stderr


def test_a_missing_engine_states_what_to_install(path: Path) -> None:
    code = (
        "import sys; sys.modules['llama_cpp'] = None\n"
        "import autocog_core as a\n"
        "try: a.load(backend='llamacpp', options={'model_path': sys.argv[1]})\n"
        "except a.PluginDependencyError as error: print(error)\n"
        "a.load(backend='random').choose('x', ['a', 'b']); print('still works')"
    )
    done = run_python(code, path)
    assert done.returncode == 0, done.stderr
    message, then = done.stdout.strip().splitlines()
    assert '"llama_cpp"' in message
    assert "pip install autocog-llamacpp" in message
    assert then == "still works"


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "unknown option": ({"model_pth": "x"}, ConfigError, 'did you mean "model_path"'),
    "unknown option beside it": ({"n_ctxx": 5}, ConfigError, 'did you mean "n_ctx"'),
    "wrong type": ({"n_ctx": "much"}, ConfigError, "options.n_ctx"),
    "below its range": ({"n_batch": 0}, ConfigError, "options.n_batch"),
    "too many sequences": ({"n_seq_max": 257}, ConfigError, "options.n_seq_max"),
    "unknown cache type": ({"type_k": "q3"}, ConfigError, "options.type_k.*'q8_0'"),
    "unknown type of weights": (
        {"weights": "Q4_K_N"},
        ConfigError,
        r'options\.weights.*no type "Q4_K_N"; did you mean "Q4_K_.*also "file" and "auto"',
    ),
    "weights that need an importance matrix": (
        {"weights": "iq1_s"},
        ConfigError,
        "options.weights.*IQ1_S needs an importance matrix",
    ),
    "negative seed": ({"seed": -1}, ConfigError, "options.seed"),
    "exact with flash attention": (
        {"exact": True, "flash_attn": True},
        ConfigError,
        "exact = true allows no flash_attn = True",
    ),
    "exact with another cache": (
        {"exact": True, "type_k": "f16"},
        ConfigError,
        "exact = true allows no type_k = 'f16'",
    ),
    "exact with other values": (
        {"exact": True, "type_v": "q4_0"},
        ConfigError,
        "exact = true allows no type_v = 'q4_0'",
    ),
    "missing file": ({"model_path": "./nowhere.gguf"}, ConfigError, "no file or folder"),
    "missing file of any name": ({"model_path": "nowhere"}, ConfigError, "nowhere is not a file"),
    "folder": ({"model_path": "."}, ConfigError, r"\. is not a file; give a \.gguf file"),
    "missing package": ({"model_path": "package:nowhere/x.gguf"}, ConfigError, "nowhere"),
    "missing package file": ({"model_path": "package:numpy/x.gguf"}, ConfigError, "has no file"),
    "no file on the hub": ({"model_path": "hf:owner/name"}, ConfigError, "hf:OWNER/NAME/FILE"),
    "adapter without a path": ({"lora": [{"scale": 1.0}]}, ConfigError, r"lora\.0\.path"),
    "adapter with another key": (
        {"lora": [{"path": ".", "scal": 1.0}]},
        ConfigError,
        'did you mean "scale"',
    ),
    "missing adapter": ({"lora": [{"path": "./no.gguf"}]}, ConfigError, "no file or folder"),
    "adapter that is a folder": ({"lora": [{"path": "."}]}, ModelLoadError, "cannot be read"),
    "enormous context": (
        {"n_ctx": 10**9},
        ModelLoadError,
        r"n_ctx = 1000000000 tokens needs \d+\.\d GB, and \d+\.\d GB are free; give a smaller",
    ),
    "cache that the heads cannot have": (
        {"type_v": "f16", "type_k": "q8_0"},
        ModelLoadError,
        "type_k: q8_0 quantizes 32 values together, and this model's heads have 16",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_option_is_one_clear_error(case: str, path: Path) -> None:
    options, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        load(backend="llamacpp", options={"model_path": str(path), "n_threads": 1, **options})
    assert len(str(caught.value).splitlines()) == 1
    right = {"model_path": str(path), "n_ctx": 64, "n_threads": 1}
    with load(backend="llamacpp", options=right) as model:
        assert model.choose("The", [" a", " b"]).scores


def test_a_cache_that_does_not_fit_is_refused_before_allocation(
    path: Path, open_llama: Any
) -> None:
    open_llama(path)
    process = psutil.Process()
    before = process.memory_info()
    for _ in range(3):
        with pytest.raises(ModelLoadError, match="GB"):
            open_llama(path, n_ctx=10**9)
    after = process.memory_info()
    assert after.rss - before.rss < 100e6
    assert after.vms - before.vms < 1e9
    assert logprobs(open_llama(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"garbage that is long enough", "is not a GGUF file"),
        (b"GGUF", "ends within its header"),
        (b"GGUF\0\0\0\3" + bytes(200), "big-endian"),
        (b"GGUF\3\0\0\0" + b"\xff" * 200, "cut short or damaged"),
    ],
)
def test_a_file_that_is_no_model_is_a_load_error(
    content: bytes, message: str, tmp_path: Path, path: Path, open_llama: Any
) -> None:
    wrong = tmp_path / "weights.gguf"
    wrong.write_bytes(content)
    with pytest.raises(ModelLoadError, match=rf"weights\.gguf.*{message}") as caught:
        open_llama(wrong)
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 1
    assert logprobs(open_llama(path))


@pytest.mark.parametrize("share", [0.0001, 0.001, 0.02, 0.1, 0.5, 0.9, 0.999999])
@pytest.mark.parametrize("use_mmap", [True, False])
def test_a_file_that_ends_too_early_is_a_load_error(
    share: float, use_mmap: bool, tmp_path: Path, path: Path, open_llama: Any
) -> None:
    content = path.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelLoadError, match=r"cut\.gguf: is cut short or damaged: .*complete"):
        open_llama(cut, use_mmap=use_mmap)
    assert logprobs(open_llama(path, use_mmap=use_mmap))


def test_failing_to_load_leaves_nothing_behind(tmp_path: Path, path: Path, open_llama: Any) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(path.read_bytes()[:-1])
    open_llama(path)
    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(ModelLoadError):
            open_llama(cut)
        with pytest.raises(ModelLoadError):
            open_llama(path, n_ctx=10**9)
    gc.collect()
    until = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_an_unknown_architecture_is_named_in_the_error(tmp_path: Path, open_llama: Any) -> None:
    with pytest.raises(ModelLoadError, match="unknown model architecture: 'frobnicator'"):
        open_llama(unknown_architecture(tmp_path))


@pytest.mark.parametrize("name", ["no_vocab", "none"])
def test_a_model_without_a_tokenizer_is_refused(
    gguf_file: GgufFile, open_llama: Any, name: str
) -> None:
    def forget(writer: gguf.GGUFWriter) -> None:
        metadata = writer.kv_data[0]
        size = len(metadata["tokenizer.ggml.tokens"].value)
        for key in [key for key in metadata if key.startswith("tokenizer")]:
            del metadata[key]
        writer.add_tokenizer_model(name)
        assert metadata["llama.vocab_size"].value == size

    with pytest.raises(ModelLoadError, match="no tokenizer; convert the model with it"):
        open_llama(gguf_file("llama", edit=forget))


def test_a_model_without_any_metadata_of_its_tokenizer_is_refused(
    gguf_file: GgufFile, open_llama: Any
) -> None:
    def forget(writer: gguf.GGUFWriter) -> None:
        del writer.kv_data[0]["tokenizer.ggml.model"]

    with pytest.raises(ModelLoadError, match=r"key not found .*tokenizer\.ggml\.model"):
        open_llama(gguf_file("llama", edit=forget))


def test_encoders_are_refused(
    tmp_path: Path, gguf_file: GgufFile, path: Path, open_llama: Any
) -> None:
    """They would return meaningless numbers."""
    with pytest.raises(ModelLoadError, match=r"t5\.gguf has an encoder.*; use a causal"):
        open_llama(gguf_models.t5_encoder(tmp_path / "t5.gguf"))
    with pytest.raises(ModelLoadError, match=r"bert\.gguf looks at the whole text.*; use a causal"):
        open_llama(gguf_models.bert(tmp_path / "bert.gguf"))
    embedding = gguf_file("llama", edit=lambda writer: writer.add_causal_attention(False))
    with pytest.raises(ModelLoadError, match="looks at the whole text"):
        open_llama(embedding)
    assert logprobs(open_llama(path))


def test_quantized_values_without_flash_attention_are_refused_with_llama_cpps_reason(
    gguf_file: GgufFile, open_llama: Any
) -> None:
    wide = gguf_file("llama", edit=WIDE_HEADS)
    for kind in ("q8_0", "q4_0"):
        with pytest.raises(ModelLoadError, match="V cache requires flash_attn") as caught:
            open_llama(wide, exact=False, flash_attn=False, type_v=kind)
        assert "type_v" in caught.value.hint
    assert logprobs(open_llama(wide))


@pytest.mark.parametrize("option", ["type_k", "type_v"])
@pytest.mark.parametrize("flash_attn", [None, True, False])
@pytest.mark.parametrize("kind", ["q8_0", "q5_1", "q5_0", "q4_1", "q4_0"])
def test_quantized_caches_of_heads_that_they_do_not_divide_are_refused(
    path: Path, open_llama: Any, option: str, flash_attn: bool | None, kind: str
) -> None:
    """Without flash attention, llama.cpp accepts them and computes wrong numbers."""
    with pytest.raises(ModelLoadError, match=f"{option}: {kind} quantizes 32 values together"):
        open_llama(path, exact=False, flash_attn=flash_attn, **{option: kind})


@pytest.mark.parametrize("kind", CACHE_TYPES)
def test_every_type_of_cache_gives_nearly_the_same_numbers(
    gguf_file: GgufFile, open_llama: Any, kind: str
) -> None:
    wide = gguf_file("llama", edit=WIDE_HEADS)
    expected = logprobs(open_llama(wide))
    near = {"f32": 0.05, "f16": 0.05, "bf16": 0.2, "q8_0": 0.2}.get(kind, 4.0)
    ways: list[dict[str, Any]] = [{"type_k": kind}, {"type_v": kind}]
    ways += [{"type_k": kind, "type_v": kind}, {"type_k": kind, "flash_attn": False}]
    for way in ways:
        model = open_llama(wide, exact=False, **way)
        assert kind in model.engine.info.details["cache"]
        np.testing.assert_allclose(logprobs(model), expected, atol=near)


@pytest.mark.parametrize("kind", ["llama", "gemma3", "mamba", "lfm2"])
@pytest.mark.parametrize(
    "options",
    [
        {"n_seq_max": 1},
        {"n_seq_max": 2},
        {"n_batch": 1},
        {"n_ubatch": 1},
        {"n_batch": 1, "n_seq_max": 1},
        {"n_batch": 3, "n_seq_max": 256},
        {"n_batch": 2**31 - 1, "n_ubatch": 2**31 - 1},
        {"use_mmap": False},
        {"n_threads": 2},
        {"n_ctx": 0},
        {"n_gpu_layers": 0},
    ],
    ids=str,
)
def test_no_option_changes_the_numbers(
    gguf_file: GgufFile, open_llama: Any, kind: str, options: dict[str, Any]
) -> None:
    file = gguf_file(kind)
    plain, model = open_llama(file), open_llama(file, **options)
    np.testing.assert_allclose(logprobs(model), logprobs(plain), atol=TOLERANCE)
    np.testing.assert_allclose(model.greedy(PROMPT), plain.greedy(PROMPT), atol=TOLERANCE)
    assert (
        model.complete(PROMPT, max_tokens=6).tokens == plain.complete(PROMPT, max_tokens=6).tokens
    )


def test_the_context_is_the_smaller_of_option_and_training(path: Path, open_llama: Any) -> None:
    for asked, length in ((0, gguf_models.CONTEXT), (100, 100), (4096, gguf_models.CONTEXT)):
        assert open_llama(path, n_ctx=asked).engine.info.context_length == length


def test_the_seed_option_is_the_default_of_completions(path: Path, open_llama: Any) -> None:
    seeded = open_llama(path, seed=7)
    first = seeded.complete(PROMPT, max_tokens=8, temperature=2.0)
    assert seeded.complete(PROMPT, max_tokens=8, temperature=2.0).tokens == first.tokens
    given = open_llama(path).complete(PROMPT, max_tokens=8, temperature=2.0, seed=7)
    assert given.tokens == first.tokens
    other = seeded.complete(PROMPT, max_tokens=8, temperature=2.0, seed=8)
    assert other.tokens != first.tokens


def test_a_path_may_hold_any_characters(path: Path, tmp_path: Path, open_llama: Any) -> None:
    names = ["a model.gguf", "modèle 東京 😀.gguf", "no ending"]
    if sys.platform == "linux":
        names.append(os.fsdecode(b"latin-\xe9.gguf"))
    for name in names:
        odd = tmp_path / name
        odd.write_bytes(path.read_bytes())
        assert open_llama(odd).engine.info.name == name


# The hub: `OWNER/NAME/FILE` in the cache that `huggingface_hub` keeps.


def test_a_name_on_the_hub_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"needs the package huggingface-hub; pip install"):
        find_file("hf:owner/name/file.gguf")


@pytest.mark.parametrize("name", ["hf:", "hf:owner", "hf:owner/name", "hf:owner/name/"])
def test_a_malformed_name_on_the_hub_is_a_clear_error(name: str) -> None:
    with pytest.raises(ConfigError, match="names no file; for example hf:OWNER/NAME/FILE"):
        find_file(name)


def in_hub_cache(home: Path, owner: str, name: str, files: dict[str, Path]) -> None:
    """The layout of a model that was downloaded."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    model = home / "hub" / f"models--{owner}--{name}"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(commit)
    (model / "blobs").mkdir()
    for number, (file, path) in enumerate(files.items()):
        blob = model / "blobs" / f"{number:064x}"
        blob.write_bytes(path.read_bytes())
        link = model / "snapshots" / commit / file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)


FROM_HUB = """
import sys
from autocog_core import ConfigError
from autocog_llamacpp.gguf.locate import find_file, find_parts
from autocog_llamacpp.loading import load_engine
from autocog_llamacpp import LlamaOptions
for name in sys.argv[1:]:
    try:
        path = find_file(name)
    except ConfigError as error:
        print(type(error).__name__, error)
        continue
    engine = load_engine(LlamaOptions(model_path=str(path), n_ctx=64))
    print(engine.name, len(find_parts(path)), engine.info.fingerprint)
"""


def test_files_of_the_hub_are_found_offline_where_they_were_downloaded(
    path: Path, gguf_file: GgufFile, tmp_path: Path
) -> None:
    pytest.importorskip("huggingface_hub")
    parts = find_parts(first_part(gguf_file))
    files = {"tiny.gguf": path, **{f"parts/{part.name}": part for part in parts}}
    in_hub_cache(tmp_path, "owner", "name", files)
    names = [
        "hf:owner/name/tiny.gguf",
        f"hf:owner/name/parts/{parts[1].name}",
        "hf:owner/name/other.gguf",
        "hf:nobody/nothing/x.gguf",
        "hf:a b/c d/e.gguf",
        "hf:../../etc/passwd",
    ]
    done = run_python(FROM_HUB, *names, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    tiny, split, *errors = done.stdout.splitlines()
    assert tiny.startswith("tiny.gguf 1 ")
    assert split.startswith(f"{parts[0].name} 3 ")
    assert len(errors) == 4
    for name, error in zip(names[2:], errors, strict=True):
        assert error.startswith(f"ConfigError model_path: cannot get {name}: ")
        assert "is the name right" in error


def test_a_model_is_loaded_by_its_name_on_the_hub(path: Path, tmp_path: Path) -> None:
    in_hub_cache(tmp_path, "owner", "name", {"tiny.gguf": path})
    code = (
        "import sys, autocog_core as a\n"
        "options = {'model_path': 'hf:owner/name/tiny.gguf', 'n_ctx': 64}\n"
        "print(a.load(backend='llamacpp', options=options).choose('The', [' a', ' b']).choice)"
    )
    done = run_python(code, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr[-300:]


# Models in several files.


def first_part(gguf_file: GgufFile) -> Path:
    whole = gguf_file("llama", split=8)
    return next(iter(sorted(whole.parent.glob(f"{whole.stem}-00001-of-*.gguf"))))


def test_a_model_in_several_files_is_loaded_by_the_first(
    gguf_file: GgufFile,
    path: Path,
    tmp_path: Path,
    open_llama: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "cache"))
    parts = find_parts(first_part(gguf_file))
    assert len(parts) == 3
    assert all(part.is_file() for part in parts)
    assert find_parts(parts[2]) == parts
    assert find_parts(path) == [path]
    model = open_llama(parts[0])
    np.testing.assert_allclose(logprobs(model), logprobs(open_llama(path)), atol=TOLERANCE)
    assert model.engine.info.fingerprint != open_llama(path).engine.info.fingerprint
    with pytest.raises(ModelLoadError, match="must be loaded with the first split"):
        open_llama(parts[1])


def test_the_fingerprint_is_that_of_all_files(
    gguf_file: GgufFile, tmp_path: Path, open_llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "cache"))
    parts = find_parts(first_part(gguf_file))
    for part in parts:
        (tmp_path / part.name).write_bytes(part.read_bytes())
    copy = open_llama(tmp_path / parts[0].name).engine.info.fingerprint
    assert copy == open_llama(parts[0]).engine.info.fingerprint
    last = tmp_path / parts[2].name
    content = bytearray(last.read_bytes())
    content[-10] ^= 1
    last.unlink()
    last.write_bytes(content)
    assert open_llama(tmp_path / parts[0].name).engine.info.fingerprint != copy
    last.unlink()
    with pytest.raises(ModelLoadError, match=last.name):
        open_llama(tmp_path / parts[0].name)


def test_the_fingerprint_depends_on_batch_sizes_but_not_on_threads(
    path: Path, open_llama: Any
) -> None:
    def fingerprint_and_scores(**options: Any) -> tuple[str, list[float]]:
        model = open_llama(path, **options)
        return model.engine.info.fingerprint, logprobs(model)

    assert fingerprint_and_scores(n_threads=1) == fingerprint_and_scores(n_threads=3)
    assert (
        fingerprint_and_scores(n_seq_max=1)[0]
        != fingerprint_and_scores(n_seq_max=2)[0]
        != fingerprint_and_scores(n_ubatch=8)[0]
    )


# LoRA.


def merged(adapters: list[tuple[Path, float]]) -> gguf_models.Edit:
    """The weights that adapters make of a model, each with its scale."""

    def edit(writer: gguf.GGUFWriter) -> None:
        for path, scale in adapters:
            reader = gguf.GGUFReader(path)
            tensors = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
            alpha = float(reader.fields["adapter.lora.alpha"].contents())
            for name in [name for name in tensors if name.endswith(".lora_a")]:
                down, up = tensors[name], tensors[name.removesuffix("a") + "b"]
                weight = writer.tensors[0][name.removesuffix(".lora_a")].tensor
                assert weight is not None
                weight += scale * alpha / len(down) * (up @ down)

    return edit


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("lora")
    return (
        gguf_models.lora(folder / "first.gguf", seed=1),
        gguf_models.lora(folder / "second.gguf", seed=2, layer=1),
    )


@pytest.mark.parametrize("scales", [(1.0,), (0.25,), (-2.0,), (1.0, 1.0), (0.5, -1.0)])
def test_adapters_give_the_numbers_of_merged_weights(
    gguf_file: GgufFile,
    path: Path,
    adapters: tuple[Path, Path],
    open_llama: Any,
    scales: tuple[float, ...],
) -> None:
    applied = list(zip(adapters, scales, strict=False))
    lora = [{"path": str(adapter), "scale": scale} for adapter, scale in applied]
    model = open_llama(path, lora=lora)
    expected = logprobs(open_llama(gguf_file("llama", edit=merged(applied))))
    np.testing.assert_allclose(logprobs(model), expected, atol=TOLERANCE)
    assert np.abs(np.subtract(expected, logprobs(open_llama(path)))).max() > 0.1
    assert model.complete(PROMPT, max_tokens=4).tokens


def test_an_adapter_of_scale_0_changes_nothing(
    path: Path, adapters: tuple[Path, Path], open_llama: Any
) -> None:
    model = open_llama(path, lora=[{"path": str(adapters[0]), "scale": 0}])
    np.testing.assert_allclose(logprobs(model), logprobs(open_llama(path)), atol=TOLERANCE)
    twice = open_llama(path, lora=[{"path": str(adapters[0])}] * 2)
    double = open_llama(path, lora=[{"path": str(adapters[0]), "scale": 2.0}])
    np.testing.assert_allclose(logprobs(twice), logprobs(double), atol=TOLERANCE)


def test_an_adapter_belongs_to_the_model_that_was_loaded_with_it(
    path: Path, adapters: tuple[Path, Path], open_llama: Any
) -> None:
    plain = open_llama(path)
    before = logprobs(plain)
    adapted = open_llama(path, lora=[{"path": str(adapters[0])}])
    assert np.abs(np.subtract(logprobs(adapted), before)).max() > 0.1
    np.testing.assert_allclose(logprobs(plain), before, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 32}, "incorrect shape"),
        ({"layer": 7}, "does not exist in base model"),
        ({"architecture": "gemma3"}, "arch mismatch"),
        ({"kind": "model"}, "general.type to be 'adapter'"),
    ],
)
def test_an_adapter_for_another_model_is_a_clear_error(
    path: Path, tmp_path: Path, open_llama: Any, options: dict[str, Any], message: str
) -> None:
    wrong = gguf_models.lora(tmp_path / "wrong.gguf", **options)
    with pytest.raises(ModelLoadError, match=rf"wrong\.gguf is no LoRA adapter.*{message}"):
        open_llama(path, lora=[{"path": str(wrong)}])
    assert logprobs(open_llama(path))


def test_a_file_that_is_no_adapter_is_a_clear_error(
    path: Path, adapters: tuple[Path, Path], tmp_path: Path, open_llama: Any
) -> None:
    content = adapters[0].read_bytes()
    for raw in (
        b"",
        b"garbage",
        b"GGUF",
        content[:100],
        content[: len(content) // 2],
        content[:-4],
    ):
        wrong = tmp_path / "wrong.gguf"
        wrong.write_bytes(raw)
        with pytest.raises(ModelLoadError, match=r"wrong\.gguf") as caught:
            open_llama(path, lora=[{"path": str(wrong)}])
        assert caught.value.hint
    with pytest.raises(ModelLoadError, match="is no LoRA adapter"):
        open_llama(path, lora=[{"path": str(path)}])
    assert logprobs(open_llama(path, lora=[{"path": str(adapters[0])}]))


# llama.cpp's log.

LOAD_AND_FAIL = """
import sys
from autocog_core import ModelLoadError
from autocog_llamacpp import LLaMa
path, cut, verbose = sys.argv[1:]
options = {"n_ctx": 64, "n_threads": 1, "verbose": verbose == "yes"}
model = LLaMa(**LLaMa.create(model_path=path, **options))
model.choose("The", [" a", " b"])
model.complete("The", max_tokens=3)
try:
    LLaMa.create(model_path=cut)
except ModelLoadError:
    print("refused")
model.close()
"""


def unknown_architecture(folder: Path) -> Path:
    path = folder / "new.gguf"
    writer = gguf.GGUFWriter(str(path), "frobnicator")
    writer.add_context_length(64)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_llama_cpps_log_is_silent_by_default(path: Path, tmp_path: Path) -> None:
    wrong = unknown_architecture(tmp_path)
    done = run_python(LOAD_AND_FAIL, path, wrong, "no")
    assert (done.returncode, done.stdout, done.stderr) == (0, "refused\n", "")
    done = run_python(LOAD_AND_FAIL, path, wrong, "yes")
    assert (done.returncode, done.stdout) == (0, "refused\n")
    lines = done.stderr.splitlines()
    assert any("loaded meta data" in line for line in lines)
    assert any("unknown model architecture" in line for line in lines)
    assert all(line.startswith("llama.cpp: ") for line in lines)


def test_llama_cpps_log_goes_to_logging(
    path: Path, tmp_path: Path, open_llama: Any, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = unknown_architecture(tmp_path)
    with caplog.at_level(logging.DEBUG, "autocog_llamacpp.llama"):
        open_llama(path)
        with pytest.raises(ModelLoadError):
            open_llama(wrong)
    records = [record for record in caplog.records if record.name == "autocog_llamacpp.llama"]
    assert any("loaded meta data" in record.message for record in records)
    assert not any(record.message.endswith("\n") for record in records)
    worst = max(records, key=lambda record: record.levelno)
    assert worst.levelno == logging.WARNING
    assert "frobnicator" in worst.message


# Sharing and closing.


def test_wrappers_of_one_created_engine_share_it(path: Path) -> None:
    created = LLaMa.create(model_path=str(path), n_ctx=256)
    first, second = LLaMa(**created), LLaMa(**created, completion_kwargs={"max_new_tokens": 2})
    assert first.engine is second.engine
    assert first.lock is second.lock
    first.close()
    first.close()
    for call in (
        lambda: first.complete("x"),
        lambda: first.choose("x", ["a", "b"]),
        lambda: first.tokenize("x"),
        lambda: first.as_model().greedy("x"),
    ):
        with pytest.raises(ClosedError, match="closed"):
            call()
    assert len(second.complete("The").tokens) <= 2


def test_closing_the_last_wrapper_frees_the_memory(path: Path, native: bool) -> None:
    created = LLaMa.create(model_path=str(path), n_ctx=256, n_threads=1, use_extension=native)
    engine = weakref.ref(created["engine"])
    parts = weakref.ref(created["engine"].context.model), weakref.ref(created["engine"].session)
    first, second = LLaMa(**created).as_model(), LLaMa(**created).as_model()
    created.clear()
    gc.collect()
    gc.disable()
    try:
        for model in (first, second):
            assert engine() is not None
            model.choose("The", [" a", " b"])
            model.complete("The", max_tokens=2)
            with pytest.raises(ContextOverflowError):
                model.complete("The", max_tokens=1000)
            model.close()
        # Without waiting for Python's collector.
        assert engine() is None
        assert [part() for part in parts] == [None, None]
    finally:
        gc.enable()


def test_models_of_one_engine_in_the_config_load_it_once(path: Path, tmp_path: Path) -> None:
    config = tmp_path / "autocog.toml"
    (tmp_path / "weights.gguf").symlink_to(path)
    config.write_text(
        '[models.a]\nbackend = "llamacpp"\nengine = "one"\n'
        'options = { model_path = "./weights.gguf", n_ctx = 256 }\n'
        "completion = { max_tokens = 2 }\n"
        '[models.b]\nengine = "one"\ncompletion = { max_tokens = 4 }\n'
    )
    with load("a", config=config) as a, load("b", config=config) as b:
        assert a._backend._engine is b._backend._engine  # type: ignore[attr-defined]
        assert len(a.complete("The", stop=[]).tokens) == 2
        a.close()
        assert len(b.complete("The").tokens) == 4


def test_the_fingerprint_distinguishes_models(
    gguf_file: GgufFile,
    path: Path,
    adapters: tuple[Path, Path],
    tmp_path: Path,
    open_llama: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "cache"))

    def fingerprint(path: Path = path, **options: Any) -> str:
        found: str = open_llama(path, **{"exact": False, **options}).engine.info.fingerprint
        return found

    copy = tmp_path / "copy.gguf"
    copy.write_bytes(path.read_bytes())
    same = fingerprint()
    for path_or_options in ({"path": copy}, {"n_ctx": 100}, {"n_threads": 2}, {"seed": 3}):
        assert fingerprint(**path_or_options) == same
    first, second = ({"path": str(adapter)} for adapter in adapters)
    others = [
        fingerprint(gguf_file("llama", seed=1)),
        fingerprint(exact=True),
        fingerprint(type_k="bf16"),
        fingerprint(flash_attn=False),
        fingerprint(lora=[first]),
        fingerprint(lora=[{**first, "scale": 0.5}]),
        fingerprint(lora=[second]),
        fingerprint(lora=[first, second]),
    ]
    assert len({same, *others}) == len(others) + 1


def test_the_info_describes_the_model(path: Path, open_llama: Any, gguf_file: GgufFile) -> None:
    info = open_llama(path).engine.info
    assert info.name == path.name
    assert info.vocabulary_size == 276
    assert info.max_concurrency == 1
    assert info.tolerance == TOLERANCE
    details = info.details
    assert details["weights"] == "F32"
    assert details["exact"] is True
    assert (details["cache"], details["flash_attention"]) == ("f32", "off")
    assert details["threads"] == 1
    assert details["architecture"].startswith("llama")
    assert details["trees"] == "one decode, by sequence sets"
    inexact = open_llama(path, exact=False, type_k="bf16", flash_attn=True).engine.info
    assert inexact.tolerance > TOLERANCE
    assert inexact.details["cache"] == "bf16/f16"
    assert inexact.details["flash_attention"] == "on"
    assert "copied states" in open_llama(gguf_file("mamba")).engine.info.details["trees"]


def test_the_numbers_are_those_of_llama_cpp_pythons_own_class(path: Path, open_llama: Any) -> None:
    model = open_llama(path)
    tokens = model.as_model().encode(PROMPT)
    expected = plain_llama.Plain(path).row(tokens)
    np.testing.assert_allclose(model.greedy(tokens), expected, atol=TOLERANCE)


@pytest.mark.slow
def test_the_real_model_loads_by_its_package_in_types_of_cache(open_llama: Any) -> None:
    from tests.support.llamacpp.gguf_models import SMOL

    expected = logprobs(open_llama(SMOL, n_threads=0))
    for kind in CACHE_TYPES if SOAK else ("f16", "q8_0"):
        model = open_llama(SMOL, exact=False, n_threads=0, type_k=kind, type_v=kind)
        assert model.choose(PROMPT, CHOICES).choice == " Paris"
        np.testing.assert_allclose(logprobs(model)[0], expected[0], atol=1.0)
