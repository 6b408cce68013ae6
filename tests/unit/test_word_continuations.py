"""Many labels after one text after another: their tokens are known after the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocog_core import BackendInfo, ChoiceRequest, InputError, Model, Prompt, hookimpl
from autocog_core.scoring import joint_tokenization
from autocog_core.scoring.choice_encoding import encode_choices
from autocog_core.tokenizers.word_boundaries import splits_before_words
from tests.support.small_backends import CharTokenizer, random_model
from tests.support.soak import count

LABELS = tuple(f" {name}{number}" for number in range(50) for name in ("Paris", "the", "Evry"))


class Counting(CharTokenizer):
    """Says that no token crosses a word boundary, and counts what it tokenizes."""

    texts = 0

    def _tokenize(self, text: str) -> list[int]:
        self.texts += 1
        return super()._tokenize(text)

    @hookimpl
    def vocabulary(self) -> list[bytes]:
        return [*(piece.encode() for piece in self.pieces), *(b"" for _ in self.specials)]

    @hookimpl
    def describe(self) -> BackendInfo:
        return replace(super().describe(), splits_at_word_boundaries=True)


fragment = st.sampled_from(
    ["the", "and", "Paris", "1", "\u00e9", " ", "  ", ". ", "\n", "\n\n", ":", "Z", "\u3002", "-"]
)
row = st.builds(
    lambda parts, end: "".join(parts) + end,
    st.lists(fragment, max_size=25),
    st.sampled_from(["", ":", ".", "the", "1"]),
)
label = st.builds(
    lambda first, rest: first + "".join(rest),
    st.sampled_from([" the", " a", " P", " \u00e9", " and", " Z", " 1", " (", "b", "\n"]),
    st.lists(fragment, max_size=3),
)


@pytest.mark.parametrize("vocabulary", ["merges", "bytes"])
@given(
    rows=st.lists(row, min_size=2, max_size=5),
    labels=st.lists(label, min_size=2, max_size=8, unique=True),
    suffix=st.sampled_from([None, "\n", " the", "."]),
    joins=st.booleans(),
)
def test_rows_one_after_the_other_have_the_tokens_of_whole_texts(
    vocabulary: str, rows: list[str], labels: list[str], suffix: str | None, joins: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint_tokenization, "MIN_CONTINUATIONS", 2)
        patch.setattr(joint_tokenization, "MIN_JOINED", 2 if joins else 1000)
        model = random_model(vocabulary=vocabulary)
        for row in rows:
            request = ChoiceRequest(
                prompt=Prompt.of("Which one? " + row), choices=tuple(labels), suffix=suffix
            )
            assert encode(model, request, full=False) == encode(model, request, full=True)


def encode(model: Model, request: ChoiceRequest, *, full: bool) -> object:
    try:
        return encode_choices(model.client, request, full=full)
    except InputError as error:
        return str(error)


def test_rows_that_end_differently_tokenize_no_label_that_begins_with_a_word() -> None:
    backend = Counting()
    model = Model(backend)
    others = (" 9", "(x)")
    seen = []
    for row in range(count(normal=5, soak=500)):
        before = backend.texts
        request = ChoiceRequest(
            prompt=Prompt.of(f"This is row{row}"), choices=(*LABELS, *others), suffix="\n"
        )
        encoded = encode_choices(model.client, request)
        seen.append(backend.texts - before)
        assert encoded == encode_choices(model.client, request, full=True)
    assert seen[0] > len(LABELS)
    assert max(seen[1:]) < 15


def test_equal_decided_tokens_are_one_object_whose_tree_is_found_at_once() -> None:
    model = Model(Counting())
    first, second, third = (
        encode_choices(model.client, ChoiceRequest(prompt=Prompt.of(text), choices=LABELS))
        for text in ("the first", "the second:", "and the third")
    )
    assert first.choice_ids is second.choice_ids is third.choice_ids


@pytest.mark.parametrize("word", [": P", "row1 the", "a P"])
def test_a_token_that_crosses_the_start_of_a_word_is_found(word: str) -> None:
    model = Model(Counting(words=[word]))
    assert not splits_before_words(model.client.vocabulary())
    for row in range(3):
        request = ChoiceRequest(prompt=Prompt.of(f"This is row{row}"), choices=LABELS)
        whole = encode_choices(model.client, request, full=True)
        assert encode_choices(model.client, request) == whole


def test_a_tokenizer_that_looks_back_is_noticed() -> None:
    class LookingBack(Counting):
        """Its tokens after a digit are others, whatever its vocabulary says."""

        def _tokenize(self, text: str) -> list[int]:
            ids = super()._tokenize(text)
            digit = next((i for i, character in enumerate(text) if character == "7"), None)
            return ids if digit is None else [*ids[: digit + 1], *ids[:digit:-1]]

    model = Model(LookingBack())
    for row in (1, 2, 7, 3):
        request = ChoiceRequest(prompt=Prompt.of(f"This is row{row}"), choices=LABELS)
        whole = encode_choices(model.client, request, full=True)
        assert encode_choices(model.client, request) == whole


def test_an_unknown_label_is_named_in_every_row() -> None:
    model = Model(Counting(normalise=lambda text: text.replace("~", "")))
    labels: Sequence[str] = (*LABELS, "~")
    for row in range(3):
        request = ChoiceRequest(prompt=Prompt.of(f"This is row{row}"), choices=tuple(labels))
        with pytest.raises(InputError, match="choice 150: '~' has no token of its own"):
            encode_choices(model.client, request)


def test_many_labels_are_tokenized_as_a_few_long_texts() -> None:
    backend = Counting()
    model = Model(backend)
    labels = tuple(f" P{number}" for number in range(2000))
    request = ChoiceRequest(prompt=Prompt.of("Which one:"), choices=(*labels, "(x)", "9"))
    encoded = encode_choices(model.client, request)
    assert backend.texts < 40
    assert encoded == encode_choices(model.client, request, full=True)


@pytest.mark.parametrize("change", [str.lower, lambda text: text.replace("1", "11")])
def test_texts_that_a_tokenizer_changes_are_tokenized_one_by_one_if_need_be(
    change: Callable[[str], str],
) -> None:
    model = Model(Counting(normalise=change))
    labels = tuple(f" P{number}x" for number in range(1200))
    request = ChoiceRequest(prompt=Prompt.of("Which one:"), choices=labels)
    whole = encode_choices(model.client, request, full=True)
    assert encode_choices(model.client, request) == whole
