"""The backends of core pass every law."""

from __future__ import annotations

from autocog_core.backends.random import RandomLM
from autocog_core.backends.table import TableLM
from autocog_core.testing import BackendContractTests
from autocog_core.testing.texts import CHOICES, PROMPTS
from tests.testing import words


class TestRandom(BackendContractTests):
    def make(self) -> RandomLM:
        return RandomLM(seed=3)


class TestRandomMerges(BackendContractTests):
    def make(self) -> RandomLM:
        return RandomLM(seed=5, vocabulary="merges", context_length=128)


class TestRandomWithoutBOS(BackendContractTests):
    def make(self) -> RandomLM:
        return RandomLM(seed=4, bos=False)


class TestRandomWithAShortContext(BackendContractTests):
    def make(self) -> RandomLM:
        return RandomLM(seed=6, context_length=32)


def make_table(*, bos: bool) -> TableLM:
    """Return a table with a row for every prefix of the laws' texts; some rows have EOS."""
    texts = {text[:length] for text in PROMPTS for length in range(1, len(text) + 1)}
    texts |= {text + CHOICES[0][:length] for text in PROMPTS for length in range(11)}
    ends = {PROMPTS[0]: {"<|eos|>": 0.75}, "": {"b": 0.5}}
    return TableLM(rows={**{text: {"a": 0.5, " ": 0.25} for text in texts}, **ends}, bos=bos)


class TestTable(BackendContractTests):
    def make(self) -> TableLM:
        return make_table(bos=False)


class TestTableWithBOS(BackendContractTests):
    def make(self) -> TableLM:
        return make_table(bos=True)


class TestWords(BackendContractTests):
    prompts = words.PROMPTS
    choices = words.CHOICES

    def make(self) -> words.WordLM:
        return words.WordLM()
