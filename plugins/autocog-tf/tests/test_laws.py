"""The laws that every backend keeps, on a tiny model of each kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autocog_core.testing import BackendContract
from autocog_tf import TfLM
from tests.support.tf import tiny_models as tiny


def of_kind(name: str) -> Callable[[BackendContract], TfLM]:
    return lambda self: TfLM(engine=tiny.tiny_engine(name))


class TestLlama(BackendContract):
    make = of_kind("llama")


@pytest.mark.slow
class TestGemma3(BackendContract):
    make = of_kind("gemma3")


@pytest.mark.slow
class TestMamba(BackendContract):
    make = of_kind("mamba")


@pytest.mark.slow
class TestATokenizerThatAddsBOS(BackendContract):
    def make(self) -> TfLM:
        return TfLM(engine=tiny.TfEngine(tiny.tiny_model("llama"), tiny.sentencepiece_tokenizer()))


@pytest.mark.slow
class TestRecurrentAndAttention(BackendContract):
    make = of_kind("qwen3_next")
