"""The laws that every model obeys, on a tiny file of each kind, in exact mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from autocog_core.testing import LAWS, Law, Subject, check_or_skip
from autocog_llamacpp import LLaMa

FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "bos": ("llama", {"adds_bos": True}),
    "sentencepiece": ("llama", {"sentencepiece": True}),
    # Of other weights: those of seed 0 make 3e-4 of a rounding, whichever way they are evaluated.
    "gemma3": ("gemma3", {"seed": 1}),
    "mamba": ("mamba", {}),
    "lfm2": ("lfm2", {}),
}


#: One is enough where time counts.
QUICK = "bos"


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.slow] * (name != QUICK)) for name in FILES],
)
def subject(request: Any, gguf_file: Any) -> Iterator[Subject]:
    architecture, file = FILES[request.param]
    options = {"n_ctx": 512, "exact": True, "n_threads": 1}
    path = str(gguf_file(architecture, **file))
    made = Subject(lambda: LLaMa(**LLaMa.create(model_path=path, **options)))
    yield made
    made.close()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_tiny_files_obey_every_law(subject: Subject, law: Law) -> None:
    check_or_skip(law, subject)
