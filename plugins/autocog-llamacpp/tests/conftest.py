"""Fixtures: tiny GGUF files, models over them, and SmolLM2 from its package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autocog_llamacpp.extension.load import load_extension
from tests.support.llamacpp import gguf_models
from tests.support.llamacpp.gguf_models import SMOL

#: Creates a `LLaMa` of a tiny model from an architecture, file options and backend options.
MakeLlama = Callable[..., Any]


@pytest.fixture(scope="session")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that writes a tiny GGUF file, once per session for equal arguments."""
    folder = tmp_path_factory.mktemp("gguf")
    made: dict[tuple[Any, ...], Path] = {}

    def make(architecture: str = "llama", **options: Any) -> Path:
        key = (architecture, *sorted(options.items()))
        if key not in made:
            path = folder / f"{architecture}-{len(made)}.gguf"
            made[key] = gguf_models.ARCHITECTURES[architecture](path, **options)
        return made[key]

    return make


@pytest.fixture(
    params=[
        pytest.param(True, id="native"),
        # The implementation for machines without a compiler. If there is an extension, the normal
        # run has only the tests marked `BOTH`.
        pytest.param(
            False, id="python", marks=[pytest.mark.soak] * (load_extension().module is not None)
        ),
    ]
)
def native(request: pytest.FixtureRequest) -> bool:
    """Whether the extension is in use."""
    from autocog_llamacpp.extension.load import load_extension

    if request.param and load_extension().module is None:
        pytest.skip(f"no extension: {load_extension().reason}")
    return bool(request.param)


@pytest.fixture
def make_llama(gguf_file: Callable[..., Path], native: bool) -> Iterator[MakeLlama]:
    """A function that creates a `LLaMa` of a tiny file, by default in exact mode on one thread."""
    from autocog_llamacpp import LLaMa

    made = []

    def make(
        architecture: str = "llama", file: dict[str, Any] | None = None, **options: Any
    ) -> Any:
        defaults = {"n_ctx": 256, "exact": True, "n_threads": 1, "use_extension": native}
        path = gguf_file(architecture, **(file or {}))
        model = LLaMa(**LLaMa.create(model_path=str(path), **{**defaults, **options}))
        made.append(model)
        return model

    yield make
    for model in made:
        model.close()


@pytest.fixture(scope="session")
def smol() -> Iterator[Any]:
    """SmolLM2-135M as a `LLaMa`, with the quantization of its package."""
    from autocog_llamacpp import LLaMa

    # On a busy machine, several threads are several times slower.
    model = LLaMa(**LLaMa.create(model_path=SMOL, n_ctx=2048, n_threads=1))
    yield model
    model.close()


@pytest.fixture(scope="session")
def smol_on_torch() -> Iterator[Any]:
    """The same model in autocog-tf, if that is installed."""
    tf = pytest.importorskip("autocog_tf")
    model = tf.TfLM(**tf.TfLM.create(model_path=SMOL, device="cpu"))
    yield model
    model.close()


@pytest.fixture(scope="session")
def smol_f32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M's quantized weights, dequantized to float32."""
    from autocog_core.config.options import package_file
    from autocog_llamacpp.gguf.quantize import quantize

    target = tmp_path_factory.mktemp("smol") / "smol-f32.gguf"
    quantize(package_file(SMOL), target, "F32", requantize=True)
    return target
