"""The laws that every model obeys, on a tiny file of each kind, in exact mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import laws
import pytest

from autocog_core import Model

Law = Callable[[Model], None]

FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "bos": ("llama", {"adds_bos": True}),
    "sentencepiece": ("llama", {"sentencepiece": True}),
    "gemma3": ("gemma3", {}),
    "mamba": ("mamba", {}),
    "lfm2": ("lfm2", {}),
}


@pytest.mark.parametrize("law", laws.ALL, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", FILES)
def test_tiny_files_obey_every_law(make_llama: Any, name: str, law: Law) -> None:
    architecture, options = FILES[name]
    law(make_llama(architecture, options, n_ctx=512).as_model())
