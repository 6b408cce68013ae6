"""Laws use texts that the vocabulary can express and that fit the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from autocog_core.backends.random import RandomLM
from autocog_core.testing import LAWS, BackendUnderTest, LawResult, LawViolation, NotApplicableError
from autocog_core.testing.conformance import check, conformance
from autocog_core.testing.texts import CHOICES, PROMPTS
from tests.mutants.tokens import BOSStripped, FailsOnEmoji, PaddedVocabulary
from tests.testing import words

BY_NAME = {law.name: law for law in LAWS}


def results_of(subject: BackendUnderTest) -> dict[str, LawResult]:
    return {result.law.name: result for result in conformance(subject)}


def violations(results: dict[str, LawResult]) -> list[LawViolation]:
    return [result.violation for result in results.values() if result.violation]


def test_refused_texts_break_no_law_and_are_the_reason_to_skip() -> None:
    results = results_of(BackendUnderTest(words.WordLM))
    assert violations(results) == []
    assert "give your own prompts" in results["chain_rule"].reason
    assert results["every_id_has_bytes"].status == "holds"


def test_laws_use_only_the_texts_of_the_author() -> None:
    tokenized: set[str] = set()

    class Recording(words.WordLM):
        def ids(self, text: str, parse_special: bool) -> list[int]:
            ids = super().ids(text, parse_special)
            tokenized.add(text)
            return ids

    results = results_of(BackendUnderTest(Recording, prompts=words.PROMPTS, choices=words.CHOICES))
    assert violations(results) == []
    for name in (
        "round_trip",
        "prefix_choices",
        "choice_order_is_kept",
        "cache_is_transparent",
        "sampling_filters",
    ):
        assert results[name].status == "holds", name
    words_used = {word for text in tokenized for word in text.split()}
    assert words_used <= {*words.WORDS, "<s>", "</s>"}


def test_a_refused_text_of_the_author_breaks_the_law() -> None:
    subject = BackendUnderTest(
        words.WordLM, prompts=words.PROMPTS, choices=words.CHOICES, tricky_texts=["yes", "rain"]
    )
    with pytest.raises(LawViolation) as caught:
        check(BY_NAME["round_trip"], subject)
    assert caught.value.given == "'rain'"
    assert "InputError" in caught.value.got


@pytest.mark.parametrize(
    "limit", [16, *(pytest.param(limit, marks=pytest.mark.soak) for limit in (32, 64))]
)
@pytest.mark.parametrize("vocabulary", ["bytes", "merges"])
def test_short_contexts_get_short_texts(limit: int, vocabulary: str) -> None:
    subject = BackendUnderTest(
        lambda: RandomLM(seed=3, context_length=limit, vocabulary=vocabulary)
    )
    results = results_of(subject)
    assert violations(results) == []
    # Choices are too short to underflow, the model may not write EOS, it has no engine, and its
    # template no variables.
    may_not_apply = {
        "two_models_of_one_engine",
        "matches_reference",
        "long_choices",
        "stops_at_eos",
        "streamed_text_matches",
        "stop_strings_match",
        "template_arguments_end_with_their_call",
    }
    if limit == 16:
        may_not_apply |= {"cache_is_transparent", "two_models", "prefix_choices"}
    skipped = {name for name, result in results.items() if result.status == "not applicable"}
    assert skipped <= may_not_apply


def test_a_context_too_short_for_any_prompt_is_the_reason_to_skip() -> None:
    with pytest.raises(NotApplicableError, match="a context of 4 tokens is too short"):
        check(BY_NAME["chain_rule"], BackendUnderTest(lambda: RandomLM(context_length=4)))


def test_the_default_texts_are_the_built_in_ones() -> None:
    subject = BackendUnderTest(RandomLM)
    assert (subject.prompts, subject.choices) == (PROMPTS, CHOICES)


def test_a_failing_tokenizer_is_shown_with_the_smallest_text() -> None:
    with pytest.raises(LawViolation) as caught:
        check(BY_NAME["round_trip"], BackendUnderTest(FailsOnEmoji))
    assert caught.value.given == "'😀'"
    assert "ValueError: chr()" in caught.value.got


def test_ids_are_detokenized_in_large_chunks() -> None:
    calls: list[int] = []

    class LargeVocabulary(PaddedVocabulary):
        def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
            calls.append(len(tokens))
            size = self.vocabulary.size
            return super().detokenize_impl([token for token in tokens if token < size])

        def describe_impl(self) -> Any:
            return replace(super().describe_impl(), vocabulary_size=150_000)

    check(BY_NAME["every_id_has_bytes"], BackendUnderTest(LargeVocabulary))
    assert sum(calls) >= 150_000
    assert len(calls) < 60


@pytest.mark.parametrize("quick", [True, False])
def test_an_empty_prompt_alone_breaks_no_law_of_a_right_backend(quick: bool) -> None:
    results = results_of(BackendUnderTest(RandomLM, prompts=[""], quick=quick))
    assert violations(results) == []
    assert results["bos_counts"].status == "holds"
    with pytest.raises(LawViolation):
        check(BY_NAME["bos_counts"], BackendUnderTest(BOSStripped, prompts=[""], quick=quick))
