from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocog_core import (
    ContextOverflowError,
    InputError,
    Model,
    Prompt,
    TextPiece,
    TokenPiece,
)
from autocog_core.scoring.prompt_encoding import split_prompt
from tests.support.small_backends import CharTokenizer, random_model


def trusted(text: str) -> TextPiece:
    return TextPiece(text, trusted=True)


def characters(text: str) -> list[int]:
    return [ord(c) for c in text]


TOKENIZER = CharTokenizer()
BOS, END = (token.id for token in TOKENIZER.specials)
MODEL = Model(TOKENIZER)
BARE = Model(CharTokenizer(adds_bos=False))


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", [BOS]),
        ("ab", [BOS, 97, 98]),
        ((trusted("<|bos|>ab"),), [BOS, 97, 98]),
        ((trusted("<|bos|>"), TextPiece("ab")), [BOS, 97, 98]),
        ((TextPiece(""), trusted("<|bos|>ab")), [BOS, 97, 98]),
        ((trusted(""), trusted("<|bos|>ab")), [BOS, 97, 98]),
        ((trusted("<|end|>a"),), [BOS, END, 97]),
        ((trusted("a<|end|>"), TextPiece("b")), [BOS, 97, END, 98]),
        ((trusted("a"), trusted("<|bos|>b")), [BOS, 97, BOS, 98]),
    ],
    ids=repr,
)
def test_bos_comes_first_and_once_unless_the_text_itself_has_more(
    prompt: Any, expected: list[int]
) -> None:
    assert MODEL.encode(prompt) == expected


def test_without_adds_bos_only_trusted_text_has_a_bos() -> None:
    assert BARE.encode("ab") == [97, 98]
    assert BARE.encode((trusted("<|bos|>ab"),)) == [BOS, 97, 98]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((TokenPiece((97, END)),), [97, END]),
        ((TokenPiece((BOS, BOS)), TextPiece("b")), [BOS, BOS, 98]),
        ((TokenPiece((97,)), TextPiece("b")), [97, 98]),
        ((TextPiece("a"), TokenPiece((98,)), TextPiece("c")), [BOS, 97, 98, 99]),
        ((TextPiece(""), TokenPiece((97,))), [97]),
    ],
    ids=repr,
)
def test_token_pieces_stay_unchanged_and_get_no_bos(pieces: Any, expected: list[int]) -> None:
    assert MODEL.encode(pieces) == expected


def test_ids_are_never_tokenized_again() -> None:
    model = Model(CharTokenizer(words=["ab"]))
    assert model.encode([97, 98]) == [97, 98]
    assert model.encode((TokenPiece((BOS, 97)), TextPiece("b"))) == [BOS, 97, 98]


@pytest.mark.parametrize(
    "pieces",
    [
        (TextPiece("<|end|>"),),
        (TextPiece("<|end"), TextPiece("|>")),
        (trusted("<|en"), TextPiece("d|>")),
        (TextPiece("<|en"), trusted("d|>")),
        (trusted("<"), TextPiece("|end|"), trusted(">")),
        (trusted("<|end"), TextPiece(""), TextPiece("|>")),
    ],
    ids=repr,
)
def test_untrusted_text_never_becomes_a_special_token_not_even_a_part_of_one(pieces: Any) -> None:
    assert MODEL.encode(pieces) == [BOS, *characters("<|end|>")]


def test_only_core_parses_special_tokens_the_tokenizer_is_never_asked_to() -> None:
    tokenizer = CharTokenizer()
    Model(tokenizer).encode((trusted("<|end|>a"), TextPiece("<|end|>")))
    assert tokenizer.parsed == []


def test_special_tokens_in_trusted_text_are_parsed_at_any_position() -> None:
    assert MODEL.encode((trusted("a<|end|><|end|>b<|end"),)) == [
        *(BOS, 97, END, END, 98),
        *characters("<|end"),
    ]


def test_the_longest_special_token_wins_where_one_begins_another() -> None:
    model = Model(CharTokenizer(specials=("<s>", "<a", "<a>")))
    longest = model.info.special_tokens[2].id
    assert model.encode((trusted("<a>"),))[1:] == [longest]


def test_special_tokens_may_strip_adjacent_blanks_of_trusted_text() -> None:
    model = Model(CharTokenizer(stripping=["<|end|>"]))
    assert model.encode((trusted("a \n<|end|> b"),)) == [BOS, 97, END, 98]
    assert MODEL.encode((trusted("a <|end|> b"),)) == [BOS, 97, 32, END, 32, 98]


def test_neighbouring_texts_are_tokenized_jointly_whatever_their_trust() -> None:
    model = Model(CharTokenizer(words=["ab"]))
    joined = model.encode("ab")
    for pieces in (
        (TextPiece("a"), TextPiece("b")),
        (trusted("a"), TextPiece("b")),
        (TextPiece("a"), trusted("b")),
    ):
        assert model.encode(pieces) == joined


@pytest.mark.parametrize(
    "pieces",
    [
        (TextPiece("a"),),
        (trusted("<|bos|>a"),),
        (trusted("<|bos|>"), TextPiece("a")),
        (TokenPiece((BOS,)), TextPiece("a")),
    ],
    ids=repr,
)
def test_text_with_only_bos_before_it_begins_the_sequence(pieces: Any) -> None:
    model = Model(CharTokenizer(start_mark="_"))
    assert model.encode(pieces) == [BOS, *characters("_a")]


@pytest.mark.parametrize(
    ("pieces", "rest"),
    [
        ((trusted("<|end|>"), TextPiece("a")), [BOS, END, 97]),
        ((TokenPiece((98,)), TextPiece("a")), [98, 97]),
        ((trusted("b<|end|>"), TextPiece("a")), [BOS, 95, 98, END, 97]),
    ],
    ids=repr,
)
def test_text_with_anything_else_before_it_continues(pieces: Any, rest: list[int]) -> None:
    assert Model(CharTokenizer(start_mark="_")).encode(pieces) == rest


@given(st.lists(st.tuples(st.sampled_from(["", "a", "<|end|>", "<|end", "|>"]), st.booleans())))
def test_encode_prompt_is_fixed_ids_then_open_text(parts: list[tuple[str, bool]]) -> None:
    prompt = Prompt(tuple(TextPiece(text, trust) for text, trust in parts))
    prepared = split_prompt(MODEL.client, prompt)
    tokens = MODEL.encode(prompt)
    assert tokens == [*prepared.fixed_ids, *characters(prepared.open_text)]
    assert tokens.count(BOS) == 1
    assert tokens.count(END) == sum(text == "<|end|>" and trust for text, trust in parts)
    parsed = "".join("" if text == "<|end|>" and trust else text for text, trust in parts)
    assert MODEL.detokenize(tokens) == parsed


@pytest.mark.parametrize(
    ("pieces", "after_ids"),
    [
        ((TokenPiece((97,)),), True),
        ((TokenPiece((97,)), TextPiece("")), True),
        ((TokenPiece((97,)), trusted("")), True),
        ((TokenPiece((97,)), TextPiece("b")), False),
        ((TextPiece("b"),), False),
        ((trusted("b<|end|>"),), False),
    ],
    ids=repr,
)
def test_split_prompt_says_whether_the_prompt_ends_with_ids(pieces: Any, after_ids: bool) -> None:
    assert split_prompt(MODEL.client, Prompt.of(pieces)).ends_with_ids is after_ids


def test_an_empty_prompt_is_bos_alone_or_an_error() -> None:
    assert MODEL.greedy("").shape == (MODEL.info.vocabulary_size,)
    with pytest.raises(InputError, match="no BOS"):
        BARE.greedy("")


@pytest.mark.parametrize("model", [MODEL, BARE], ids=["bos", "no bos"])
def test_no_ids_at_all_are_refused(model: Model) -> None:
    with pytest.raises(InputError, match="empty"):
        model.greedy([])


@pytest.mark.parametrize("trust", [True, False])
def test_text_that_is_not_unicode_is_refused_with_its_position(trust: bool) -> None:
    with pytest.raises(InputError, match="character 2 is a lone surrogate"):
        MODEL.encode((TextPiece("ab\udc80", trust),))


@pytest.mark.parametrize("token", [-1, TOKENIZER.describe().vocabulary_size])
def test_ids_outside_the_vocabulary_are_refused(token: int) -> None:
    for call in (MODEL.greedy, MODEL.detokenize, MODEL.detokenize_bytes):
        with pytest.raises(InputError, match="outside the vocabulary"):
            call([97, token])


@pytest.mark.parametrize(
    "prompt", [b"x", None, 5, [1.5], ["a"], [TextPiece("a"), 5], object(), np.zeros((1, 2))]
)
def test_prompts_of_a_wrong_type_are_rejected(prompt: Any) -> None:
    with pytest.raises(InputError, match="prompt"):
        MODEL.greedy(prompt)


def test_an_array_of_ids_is_a_prompt() -> None:
    assert MODEL.encode(np.array([97, 98])) == [97, 98]  # type: ignore[arg-type]


def test_a_prompt_longer_than_the_context_is_refused_and_one_that_fits_is_not() -> None:
    model = random_model(context_length=8)
    assert model.greedy("1234567").size
    with pytest.raises(ContextOverflowError, match="9 tokens do not fit the context of 8"):
        model.greedy("12345678")
    with pytest.raises(ContextOverflowError, match="3 to follow"):
        model.complete("12345", max_tokens=3)
    with pytest.raises(ContextOverflowError):
        model.choose("12345", ["abc", "a"])
    assert model.choose("12345", ["ab", "a"]).scores
    assert model.complete("12345", max_tokens=2).text is not None
