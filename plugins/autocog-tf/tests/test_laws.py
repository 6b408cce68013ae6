"""The laws that every model obeys, on a tiny model of each kind."""

from __future__ import annotations

from collections.abc import Callable

import laws
import pytest
import tiny

from autocog_core import Model
from autocog_tf import TfLM

Law = Callable[[Model], None]


@pytest.mark.parametrize("law", laws.ALL, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", ["llama", "gemma3", "mamba"])
def test_tiny_models_obey_every_law(name: str, law: Law) -> None:
    law(Model(TfLM(engine=tiny.tiny_engine(name))))


@pytest.mark.parametrize("law", laws.ALL, ids=lambda law: law.__name__)
def test_a_tokenizer_that_adds_bos_obeys_every_law(law: Law) -> None:
    engine = tiny.TfEngine(tiny.tiny_model("llama"), tiny.sentencepiece_tokenizer())
    law(Model(TfLM(engine=engine)))
