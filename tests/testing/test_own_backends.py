"""The backends of core keep every law."""

from __future__ import annotations

from autocog_core.backends.random import RandomLM
from autocog_core.backends.table import TableLM
from autocog_core.testing import BackendContract
from autocog_core.testing.texts import PROMPTS


class TestRandom(BackendContract):
    def make(self) -> RandomLM:
        return RandomLM(seed=3)


class TestRandomMerges(BackendContract):
    def make(self) -> RandomLM:
        return RandomLM(seed=5, vocabulary="merges", context_length=128)


class TestRandomWithoutBOS(BackendContract):
    def make(self) -> RandomLM:
        return RandomLM(seed=4, bos=False)


class TestTable(BackendContract):
    def make(self) -> TableLM:
        texts = {text[:length] for text in (*PROMPTS, "a b") for length in range(1, len(text) + 1)}
        texts |= {text + " and so on"[:length] for text in PROMPTS for length in range(11)}
        return TableLM(rows={text: {"a": 0.5, " ": 0.25} for text in texts}, bos=False)
