"""The contract of backends: one test per law, on a tiny model, with Transformers as reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from autocog_core import Model, load
from autocog_core.testing import BackendContractTests
from tiny_model import write_tiny_model


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory) -> None:
    TestContract.source, TestContract.converted = write_tiny_model(tmp_path_factory.mktemp("tiny"))


class TestContract(BackendContractTests):
    source: Path
    converted: Path

    def make(self) -> Model:
        options = {"model_path": str(self.converted), "context_length": 512}
        return load(backend="ctranslate2", options=options)

    def reference_logprobs(self, text: str) -> list[float]:
        import torch
        import transformers

        model: Any = transformers.AutoModelForCausalLM.from_pretrained(self.source)
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(self.source)
        tokens = torch.tensor([tokenizer(text).input_ids])
        with torch.no_grad():
            rows = model(tokens).logits[0].double().log_softmax(-1)
        return [float(row[token]) for row, token in zip(rows, tokens[0, 1:], strict=False)]
