"""Laws ask in texts that the model can write, and that its context has room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from autocog_core.backends.random import RandomLM
from autocog_core.testing import LAWS, BackendUnderTest, LawResult, LawViolation, NotApplicableError
from autocog_core.testing.conformance import check, conformance
from autocog_core.testing.texts import CHOICES, PROMPTS
from tests.mutants.tokens import FailsOnEmoji, PaddedVocabulary
from tests.testing import words

BY_NAME = {law.name: law for law in LAWS}


def findings(subject: BackendUnderTest) -> dict[str, LawResult]:
    return {finding.law.name: finding for finding in conformance(subject)}


def test_of_what_a_vocabulary_refuses_no_law_is_broken_and_each_says_so() -> None:
    found = findings(BackendUnderTest(words.WordLM))
    assert [each for each in found.values() if each.violation] == []
    assert "give your own prompts" in found["chain_rule"].reason
    assert found["every_id_has_bytes"].status == "holds"


def test_texts_of_the_authors_own_are_asked_and_no_others() -> None:
    asked: set[str] = set()

    class Listening(words.WordLM):
        def ids(self, text: str, parse_special: bool) -> list[int]:
            found = super().ids(text, parse_special)
            asked.add(text)
            return found

    found = findings(BackendUnderTest(Listening, prompts=words.PROMPTS, choices=words.CHOICES))
    assert [each for each in found.values() if each.violation] == []
    for name in (
        "round_trip",
        "prefix_choices",
        "choice_order_is_kept",
        "cache_is_transparent",
        "sampling_filters",
    ):
        assert found[name].status == "holds", name
    said = {word for text in asked for word in text.split()}
    assert said <= {*words.WORDS, "<s>", "</s>"}


def test_a_text_that_the_author_gives_and_the_vocabulary_refuses_breaks_the_law() -> None:
    subject = BackendUnderTest(
        words.WordLM, prompts=words.PROMPTS, choices=words.CHOICES, tricky_texts=["yes", "rain"]
    )
    with pytest.raises(LawViolation) as caught:
        check(BY_NAME["round_trip"], subject)
    assert caught.value.given == "'rain'"
    assert "InputError" in caught.value.got


@pytest.mark.parametrize("limit", [16, 32, 64])
@pytest.mark.parametrize("vocabulary", ["bytes", "merges"])
def test_short_contexts_are_asked_short_texts(limit: int, vocabulary: str) -> None:
    subject = BackendUnderTest(
        lambda: RandomLM(seed=3, context_length=limit, vocabulary=vocabulary)
    )
    found = findings(subject)
    assert [each for each in found.values() if each.violation] == []
    # No choice underflows there, and the model may not happen to end.
    unsaid = {
        "matches_reference",
        "long_choices",
        "stops_at_eos",
        "streamed_text_matches",
        "stop_strings_match",
    }
    if limit == 16:
        unsaid |= {"cache_is_transparent", "two_models", "prefix_choices"}
    assert {name for name, each in found.items() if each.status == "not applicable"} <= unsaid


def test_a_context_too_short_for_any_prompt_says_so() -> None:
    with pytest.raises(NotApplicableError, match="a context of 4 tokens is too short"):
        check(BY_NAME["chain_rule"], BackendUnderTest(lambda: RandomLM(context_length=4)))


def test_texts_are_the_laws_own_where_nothing_forbids() -> None:
    subject = BackendUnderTest(RandomLM)
    assert (subject.prompts, subject.choices) == (PROMPTS, CHOICES)


def test_a_tokenizer_that_fails_is_shown_with_the_smallest_text() -> None:
    with pytest.raises(LawViolation) as caught:
        check(BY_NAME["round_trip"], BackendUnderTest(FailsOnEmoji))
    assert caught.value.given == "'😀'"
    assert "ValueError: chr()" in caught.value.got


def test_ids_are_detokenized_in_large_pieces() -> None:
    calls: list[int] = []

    class Wide(PaddedVocabulary):
        def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
            calls.append(len(tokens))
            size = self.vocabulary.size
            return super().detokenize_impl([token for token in tokens if token < size])

        def describe_impl(self) -> Any:
            return replace(super().describe_impl(), vocabulary_size=150_000)

    check(BY_NAME["every_id_has_bytes"], BackendUnderTest(Wide))
    assert sum(calls) >= 150_000
    assert len(calls) < 60
