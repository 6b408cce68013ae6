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
    *(
        "distribution",
        "determinism",
        "last_token_matters",
        "first_tokens_matter",
        "whole_context_matters",
    ),
    *(
        "cache_is_transparent",
        "new_model_same_rows",
        "two_models",
        "tree_scores_match",
        "top_k_matches",
        "tree_batches_match",
    ),
    *("chain_rule", "choice_order_is_kept", "choice_batches_match", "repeated_choices_match"),
    *("greedy_completion_is_scored", "sampled_alternatives"),
}
#: Whether text and tokens belong together.
ABOUT_TOKENS = {
    *(law.name for law in LAWS if law.needs and {*law.needs} <= {"tokens", "vocabulary", "chat"}),
    *(
        "every_id_has_bytes",
        "bos_counts",
        "empty_prompt",
        "first_tokens_matter",
        "boundary",
        "choice_tokens_spell_choice",
    ),
    *("prefix_choices", "long_choices", "tokens_spell_the_text", "context_limit"),
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
