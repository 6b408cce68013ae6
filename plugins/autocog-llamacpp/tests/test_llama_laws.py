"""The laws that every model obeys, on a tiny file of each kind, in exact mode."""

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
    # Of other weights: those of seed 0 make 3e-4 of a rounding, whichever way they are evaluated.
    "gemma3": ("gemma3", {"seed": 1}),
    "mamba": ("mamba", {}),
    "lfm2": ("lfm2", {}),
}


#: Here every law is checked in the normal run too.
MAIN = "bos"
#: Where laws are that may fail on another file although they hold on the main one.
BY_TOKENIZER = ("token_laws", "special_laws", "score_laws")
BY_MEMORY = ("memory_laws", "tree_laws", "row_laws", "score_laws", "sampling_laws")
TELLING = {
    # Nothing stands before its texts.
    "llama": ("special_laws", "manner_laws"),
    "sentencepiece": BY_TOKENIZER,
    "gemma3": BY_MEMORY,
    "mamba": BY_MEMORY,
    "lfm2": BY_MEMORY,
}


def cases() -> Iterator[Any]:
    """Files and laws; the normal run has those in which the file makes a difference."""
    for file in FILES:
        for law in LAWS:
            where = law.check.__module__.rpartition(".")[2]
            telling = file == MAIN or where in TELLING[file]
            marks = [] if telling else [pytest.mark.soak]
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
def test_tiny_files_obey_every_law(subject: BackendUnderTest, law: Law) -> None:
    check_or_skip(law, subject)
