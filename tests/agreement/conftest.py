"""SmolLM2 on both engines, opened once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autocog_core.config.options import package_file
from tests.support.engines import (
    SMOL,
    Engine,
    float32_weights,
    llama_cpp_engine,
    transformers_engine,
)


@pytest.fixture(scope="package")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 in float32, as a GGUF file."""
    return float32_weights(tmp_path_factory.mktemp("smol") / "f32.gguf")


@pytest.fixture(scope="package")
def tf_float32() -> Iterator[Engine]:
    """Transformers, in float32."""
    with transformers_engine() as found:
        yield found


@pytest.fixture(scope="package")
def llamacpp_float32(weights: Path) -> Iterator[Engine]:
    """llama.cpp, in float32."""
    with llama_cpp_engine(weights) as found:
        yield found


@pytest.fixture(scope="package")
def llamacpp_quantized() -> Iterator[Engine]:
    """llama.cpp, with the weights as they come in the package."""
    with llama_cpp_engine(package_file(SMOL), exact=False) as found:
        yield found
