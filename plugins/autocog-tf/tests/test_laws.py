"""The laws of backends, on tiny models.

One model passes all laws. Models of other kinds pass those that may depend on their difference;
`nox -s soak` runs the others on them too.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autocog_core.testing import LAWS, BackendContractTests
from autocog_tf import TfLM
from tests.support.tf import tiny_models as tiny

#: Laws about states that are cached, branched and batched.
STATE_LAWS = {
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
#: Laws about text and tokens.
TOKEN_LAWS = {
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


def make_backend(name: str) -> Callable[[BackendContractTests], TfLM]:
    return lambda self: TfLM(engine=tiny.tiny_engine(name))


def run_always(
    laws: set[str],
) -> Callable[[type[BackendContractTests]], type[BackendContractTests]]:
    """Return a decorator that marks all other laws as soak tests."""
    unknown = laws - {law.name for law in LAWS}
    assert not unknown, unknown

    def mark(suite: type[BackendContractTests]) -> type[BackendContractTests]:
        for law in LAWS:
            if law.name not in laws:
                setattr(suite, f"test_{law.name}", pytest.mark.soak(_copy_test(f"test_{law.name}")))
        return suite

    return mark


def _copy_test(name: str) -> Callable[[BackendContractTests], None]:
    """Return a law's test that can be marked without an effect on other suites."""
    inherited = getattr(BackendContractTests, name)

    def test(self: BackendContractTests) -> None:
        inherited(self)

    return test


class TestLlama(BackendContractTests):
    make = make_backend("llama")


@pytest.mark.slow
@run_always(STATE_LAWS)
class TestGemma3(BackendContractTests):
    make = make_backend("gemma3")


@pytest.mark.slow
@run_always(STATE_LAWS)
class TestMamba(BackendContractTests):
    make = make_backend("mamba")


@pytest.mark.slow
@run_always(TOKEN_LAWS)
class TestTokenizerThatAddsBOS(BackendContractTests):
    def make(self) -> TfLM:
        return TfLM(engine=tiny.TfEngine(tiny.tiny_model("llama"), tiny.sentencepiece_tokenizer()))


@pytest.mark.slow
@run_always(STATE_LAWS)
class TestRecurrentAndAttention(BackendContractTests):
    make = make_backend("qwen3_next")
