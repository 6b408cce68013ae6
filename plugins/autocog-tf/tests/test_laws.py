"""The laws that every backend keeps: all of them on one tiny model, and on a model of each other
kind those whose outcome may depend on what is different about it; `nox -s soak` checks the rest.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autocog_core.testing import LAWS, BackendContractTests
from autocog_tf import TfLM
from tests.support.tf import tiny_models as tiny

#: Whether a model's states are kept, branched and put side by side as they should be.
ABOUT_STATES = {
    *("distribution", "determinism", "last_token", "first_tokens", "whole_context"),
    *("caches", "same_rows_anew", "two_models", "trees", "likeliest", "trees_together"),
    *("chain_rule", "choices_in_order", "choices_together", "choices_again"),
    *("greedy_and_scored", "alternatives"),
}
#: Whether text and tokens belong together.
ABOUT_TOKENS = {
    *(law.name for law in LAWS if law.needs and {*law.needs} <= {"tokens", "vocabulary", "chat"}),
    *("every_id", "bos_counts", "empty_prompt", "first_tokens", "boundary", "choices_are_spelled"),
    *("prefix_choices", "long_choices", "tokens_spell_the_text", "context"),
}


def of_kind(name: str) -> Callable[[BackendContractTests], TfLM]:
    return lambda self: TfLM(engine=tiny.tiny_engine(name))


def always(laws: set[str]) -> Callable[[type[BackendContractTests]], type[BackendContractTests]]:
    """Leave all laws but these to the long run."""
    unknown = laws - {law.name for law in LAWS}
    assert not unknown, unknown

    def mark(suite: type[BackendContractTests]) -> type[BackendContractTests]:
        for law in LAWS:
            if law.name not in laws:
                setattr(suite, f"test_{law.name}", pytest.mark.soak(_own(f"test_{law.name}")))
        return suite

    return mark


def _own(name: str) -> Callable[[BackendContractTests], None]:
    """A law's test that can be marked without the other suites' being marked."""
    inherited = getattr(BackendContractTests, name)

    def test(self: BackendContractTests) -> None:
        inherited(self)

    return test


class TestLlama(BackendContractTests):
    make = of_kind("llama")


@pytest.mark.slow
@always(ABOUT_STATES)
class TestGemma3(BackendContractTests):
    make = of_kind("gemma3")


@pytest.mark.slow
@always(ABOUT_STATES)
class TestMamba(BackendContractTests):
    make = of_kind("mamba")


@pytest.mark.slow
@always(ABOUT_TOKENS)
class TestATokenizerThatAddsBOS(BackendContractTests):
    def make(self) -> TfLM:
        return TfLM(engine=tiny.TfEngine(tiny.tiny_model("llama"), tiny.sentencepiece_tokenizer()))


@pytest.mark.slow
@always(ABOUT_STATES)
class TestRecurrentAndAttention(BackendContractTests):
    make = of_kind("qwen3_next")
