"""The laws of all models, on a tiny file of each kind, in exact mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from autocog_core.testing import LAWS, BackendUnderTest, Law, check_or_skip
from autocog_llamacpp import LLaMa

FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "bos": ("llama", {"adds_bos": True}),
    "sentencepiece": ("llama", {"sentencepiece": True}),
    # With seed 0, rounding differences reach 3e-4.
    "gemma3": ("gemma3", {"seed": 1}),
    "mamba": ("mamba", {}),
    "lfm2": ("lfm2", {}),
}


#: The normal run checks every law on this file.
MAIN = "bos"
#: Modules with laws that may fail on another file although they pass on the main one.
BY_TOKENIZER = ("token_laws", "special_token_laws", "score_laws")
BY_MEMORY = ("cache_laws", "tree_laws", "row_laws", "score_laws", "sampling_laws")
RELEVANT = {
    # It has no BOS.
    "llama": ("special_token_laws", "behavior_laws"),
    "sentencepiece": BY_TOKENIZER,
    "gemma3": BY_MEMORY,
    "mamba": BY_MEMORY,
    "lfm2": BY_MEMORY,
}


def cases() -> Iterator[Any]:
    """Yield files and laws. The normal run has the laws for which the file is relevant."""
    for file in FILES:
        for law in LAWS:
            module = law.check.__module__.rpartition(".")[2]
            relevant = file == MAIN or module in RELEVANT[file]
            marks = [] if relevant else [pytest.mark.soak]
            yield pytest.param(file, law, marks=marks, id=f"{file}-{law.name}")


@pytest.fixture(scope="module")
def subject(request: Any, gguf_file: Any) -> Iterator[BackendUnderTest]:
    architecture, file = FILES[request.param]
    options = {"n_ctx": 512, "exact": True, "n_threads": 1}
    path = str(gguf_file(architecture, **file))
    made = BackendUnderTest(lambda: LLaMa(**LLaMa.create(model_path=path, **options)))
    yield made
    made.close()


@pytest.mark.parametrize(("subject", "law"), list(cases()), indirect=["subject"])
def test_tiny_files_pass_every_law(subject: BackendUnderTest, law: Law) -> None:
    check_or_skip(law, subject)
