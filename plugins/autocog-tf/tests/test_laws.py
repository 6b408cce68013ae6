"""The laws of backends, on tiny models.

One model passes all laws. Models of other kinds pass those that may depend on their difference;
`nox -s soak` runs the others on them too.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autocog_core.testing import LAWS, BackendContractTests
from autocog_core.testing.texts import PROMPTS, TRICKY_TEXTS
from autocog_tf import TfLM
from tests.support.contract import run_always
from tests.support.tf import tiny_models as tiny
from tests.support.tf.tokenizer_families import FAMILIES

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
    "isolated_choices_match",
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


#: Laws that a tokenizer of another family may break.
FAMILY_LAWS = {"round_trip", "token_bytes_add_up", "boundary", "choice_tokens_spell_choice"}


def make_backend(name: str) -> Callable[[BackendContractTests], TfLM]:
    return lambda self: TfLM(engine=tiny.tiny_engine(name))


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


def make_with_tokenizer(family: str) -> Callable[[BackendContractTests], TfLM]:
    return lambda self: TfLM(engine=tiny.TfEngine(tiny.tiny_model("llama"), FAMILIES[family]()))


@pytest.mark.slow
@run_always(FAMILY_LAWS)
class TestUnigram(BackendContractTests):
    make = make_with_tokenizer("unigram_bytes")


@pytest.mark.slow
@run_always(FAMILY_LAWS)
class TestUnigramWithUnknownToken(BackendContractTests):
    make = make_with_tokenizer("unigram")
    prompts = ("the capital", "Answer: the", "the capital of France is")
    choices = (" Paris", " Paris, France", " the", "1", "10", "100", "é")
    tricky_texts = ("a", " a", "  a", "a ", "é", "\n", "\n\n", "1 10 100")


@pytest.mark.slow
@run_always(FAMILY_LAWS)
class TestUnigramThatNormalizes(BackendContractTests):
    make = make_with_tokenizer("unigram_nfkc")
    # It merges blanks, and writes a newline and U+FFFD as a blank.
    tricky_texts = tuple(
        text
        for text in TRICKY_TEXTS
        if text.isprintable() and "  " not in text and text != "\ufffd"
    )
    prompts = tuple(text for text in PROMPTS if text.isprintable() and not text.endswith(" "))


@pytest.mark.slow
@run_always(FAMILY_LAWS)
class TestUnigramThatStripsAndLowers(BackendContractTests):
    make = make_with_tokenizer("unigram_stripping")
    prompts = ("the capital", "answer: the", "the capital of france is")
    choices = (" paris", " paris, france", " lyon", "1", "10", "100", "é")
    tricky_texts = ("a", "é", "a b", "1 10 100")


@pytest.mark.slow
@run_always(FAMILY_LAWS)
class TestWordPiece(BackendContractTests):
    make = make_with_tokenizer("wordpiece")
    # Every word begins with a blank, and a sign is a word.
    prompts = ("the capital", "the answer", "the capital of france is")
    choices = (" paris", " paris the", " rome", " 1", " 10", " 100")
    tricky_texts = (" a", " the capital", " 1 10 100")

    def test_round_trip(self) -> None:
        """It cannot write a word without a blank before it."""
        with pytest.raises(AssertionError, match="a blank at the start is removed or added"):
            super().test_round_trip()  # type: ignore[misc]
