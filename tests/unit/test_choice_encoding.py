from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from autocog_core import (
    EOS,
    BackendInfo,
    ChoiceRequest,
    InputError,
    Model,
    Prompt,
    TextPiece,
    TokenPiece,
    hookimpl,
)
from autocog_core.backends.random import RandomLM
from autocog_core.scoring.choice_encoding import (
    EncodedChoices,
    _are_good_texts,
    _find_bad_text,
    encode_choices,
)
from autocog_core.scoring.joint_tokenization import CACHE_SIZE, MIN_SPLIT_LENGTH, JointTokenizer
from autocog_core.tokenizers.word_boundaries import (
    respects_word_boundaries,
    tokens_across_boundaries,
)
from tests.support.small_backends import CharTokenizer, random_model

MERGES = random_model(vocabulary="merges")
BYTES = random_model(vocabulary="bytes")


class WordBoundaryTokenizer(CharTokenizer):
    """Declares that no token crosses a word boundary, as is true for characters; or not."""

    def __init__(self, keeps: bool) -> None:
        super().__init__()
        self._keeps = keeps

    @hookimpl
    def describe(self) -> BackendInfo:
        return replace(super().describe(), splits_at_word_boundaries=self._keeps)


class Undeclared(RandomLM):
    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), splits_at_word_boundaries=False)


UNDECLARED = Model(Undeclared(vocabulary="merges"))

fragment = st.sampled_from(
    [
        "the",
        "and",
        "Paris",
        "ab",
        "100",
        "x1",
        "é",
        "😀",
        " ",
        "  ",
        ". ",
        "\n\n",
        ".",
        ",",
        ":",
        "Z",
    ]
)
tail = st.lists(fragment, max_size=60).map("".join)
choice_texts = st.lists(
    st.lists(fragment, min_size=1, max_size=5).map("".join), min_size=1, max_size=5, unique=True
)
filler = st.sampled_from(
    [
        "The cat and the dog, 100 . a Paris\n\n" * 12,
        "word " * 80,
        "nospaceatall" * 40,
        "é é é 😀 " * 60,
        ". . , : 1 2 3  " * 30,
        "a  b   c " * 50,
        "",
    ]
)


def encode(model: Model, prompt: Any, choices: list[str], **arguments: Any) -> EncodedChoices:
    full = arguments.pop("full", False)
    request = ChoiceRequest(prompt=Prompt.of(prompt), choices=tuple(choices), **arguments)
    return encode_choices(model.client, request, full=full)


@pytest.mark.parametrize(
    "model", [MERGES, BYTES, UNDECLARED], ids=["merges", "bytes", "undeclared"]
)
@given(before=filler, after=tail, choices=choice_texts, end=st.sampled_from([None, "\n", "\n\n"]))
@example(before="x" * MIN_SPLIT_LENGTH, after=" Paris", choices=["a", "the"], end=None)
@example(before="word " * 80, after=" ", choices=["Paris", " Paris"], end=None)
def test_tokenizing_the_end_of_a_long_prompt_equals_tokenizing_all_of_it(
    model: Model, before: str, after: str, choices: list[str], end: str | None
) -> None:
    fast = encode(model, before + after, choices, suffix=end)
    assert fast == encode(model, before + after, choices, suffix=end, full=True)


def test_vocabularies_show_whether_tokens_cross_word_boundaries() -> None:
    assert respects_word_boundaries(
        [b" the", b"the", b"the ", b"\n\n", b" 1", b"a 1", b"", b"\xe4\xb8"]
    )
    spans = [" by the", "a b", "end\nof", "\u3001\u4e00"]
    words = [b" the", *(text.encode() for text in spans), b"\xb8\xad a"]
    assert list(tokens_across_boundaries(words)) == [*spans, "xx a"]
    assert not respects_word_boundaries(words)


@pytest.mark.parametrize("keeps", [True, False])
def test_less_text_is_tokenized_again_if_tokens_end_at_word_boundaries(keeps: bool) -> None:
    seen: list[int] = []

    class Counting(WordBoundaryTokenizer):
        def _tokenize(self, text: str) -> list[int]:
            seen.append(len(text))
            return super()._tokenize(text)

    prompt = "some words and the last one:"
    encode(Model(Counting(keeps)), prompt, [f" choice {i}" for i in range(10, 100)])
    assert sum(seen) == len(prompt) + 90 * 10 + (2 * 5 + 89 * 5 if keeps else 90 * len(prompt))


def test_rows_that_end_alike_are_tokenized_once() -> None:
    model = Model(WordBoundaryTokenizer(True))
    # Digits begin no word, so nothing is known of these after other texts.
    choices = tuple(f" {i}" for i in range(1000))
    joint = JointTokenizer.for_model(model.client)
    first = joint.tokenize("the first row ends with this", choices, at_start=True)
    second = joint.tokenize("another row ends with this", choices, at_start=True)
    assert second.decided is first.decided
    for number in range(CACHE_SIZE // 1000 + 1):
        joint.tokenize(f"and so on, number{number}", choices, at_start=True)
    again = joint.tokenize("another row ends with this", choices, at_start=True)
    assert again.decided is not first.decided
    assert again.decided.choice_ids == second.decided.choice_ids
    assert (again.ids_before, again.text_ids) == (second.ids_before, second.text_ids)


def test_a_long_prompt_is_not_tokenized_again_for_every_choice() -> None:
    seen: list[int] = []

    class Counting(CharTokenizer):
        def _tokenize(self, text: str) -> list[int]:
            seen.append(len(text))
            return super()._tokenize(text)

    encode(Model(Counting()), "some words " * 1000, [f" choice {i}" for i in range(100)])
    assert sum(seen) < 11_000 + 100 * 200


@pytest.mark.parametrize("model", [MERGES, BYTES], ids=["merges", "bytes"])
@given(before=filler, after=tail, choices=choice_texts, end=st.sampled_from([None, "\n"]))
def test_base_and_decided_tokens_are_the_joint_tokenization_of_prompt_and_choice(
    model: Model, before: str, after: str, choices: list[str], end: str | None
) -> None:
    prompt = before + after
    found = encode(model, prompt, choices, suffix=end)
    bos = model.info.bos
    fixed = [bos, *model.tokenize(prompt)]
    for choice, decided in zip(choices, found.choice_ids, strict=True):
        joint = [bos, *model.tokenize(prompt + choice + (end or ""))]
        assert [*found.shared_ids, *decided] == joint
        assert len(decided) >= 1
    # The longest such base: with one token more it would not be shared, or leave a choice none.
    length = len(found.shared_ids)
    assert list(found.shared_ids) == fixed[:length]
    if length < len(fixed):
        assert (
            any(decided[0] != fixed[length] for decided in found.choice_ids)
            or min(map(len, found.choice_ids)) == 1
        )
        assert found.boundary == "healed"
        assert found.healed_text == model.detokenize(fixed[length:])
    else:
        assert (found.boundary, found.healed_text) == ("clean", "")


def test_a_blank_at_the_end_of_the_prompt_is_healed() -> None:
    found = encode(MERGES, "Answer ", ["Paris", "the"])
    assert found.boundary == "healed"
    assert found.healed_text == " "
    healed = [MERGES.detokenize(tokens) for tokens in found.choice_ids]
    assert healed == [" Paris", " the"]


def test_a_blank_at_the_start_of_the_choice_is_clean() -> None:
    found = encode(MERGES, "Answer", [" Paris", " the"])
    assert found.boundary == "clean"
    assert [MERGES.detokenize(tokens) for tokens in found.choice_ids] == [" Paris", " the"]


def test_a_prefix_choice_keeps_a_token_that_the_prompt_would_absorb() -> None:
    # "Paris" is one token that the fixed text "Pari" does not have; "s" completes it.
    model = Model(CharTokenizer(words=["Paris"]))
    found = encode(model, "Pari", ["s", "s, France"])
    assert [model.detokenize(tokens) for tokens in found.choice_ids] == ["Paris", "Paris, France"]
    assert found.boundary == "healed"


@pytest.mark.parametrize(("prompt", "suffix"), [("ab", None), ("", None), ("ab", "."), ("", ".")])
def test_a_choice_that_the_tokenizer_drops_is_refused_by_name(
    prompt: str, suffix: str | None
) -> None:
    """It would get the score of the prompt's last token, or of its suffix."""
    model = Model(CharTokenizer(normalise=lambda text: text.replace("~", "")))
    with pytest.raises(InputError, match=r"choice 1: '~' has no token of its own"):
        encode(model, prompt, ["c", "~"], suffix=suffix)


def test_given_ids_never_change() -> None:
    ids = [MERGES.info.bos, *MERGES.tokenize("Answer ")]
    found = encode(MERGES, ids, ["Paris", "the"])
    assert (found.boundary, found.healed_text) == ("token_ids", "")
    assert list(found.shared_ids) == ids
    assert [MERGES.detokenize(tokens) for tokens in found.choice_ids] == ["Paris", "the"]


def test_text_after_given_ids_is_healed_but_the_ids_are_not() -> None:
    ids = MERGES.tokenize("Answer")
    found = encode(MERGES, (TokenPiece(tuple(ids)), TextPiece(" ")), ["Paris", "the"])
    assert found.boundary == "healed"
    assert list(found.shared_ids) == ids


def test_strict_rejects_healing() -> None:
    with pytest.raises(InputError, match="changes the tokens of ' '"):
        encode(MERGES, "Answer ", ["Paris", "the"], boundary="strict")


def test_strict_rejects_ids_that_the_tokenizer_would_not_choose() -> None:
    ids = [MERGES.info.bos, *MERGES.tokenize("Answer ")]
    with pytest.raises(InputError, match="would not begin"):
        encode(MERGES, ids, ["Paris", "the"], boundary="strict")


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "text"])
def test_strict_and_heal_agree_where_nothing_is_healed(ids: bool) -> None:
    prompt: Any = [MERGES.info.bos, *MERGES.tokenize("Answer")] if ids else "Answer"
    choices = [" Paris", " the"]
    assert encode(MERGES, prompt, choices, boundary="strict") == encode(MERGES, prompt, choices)


@pytest.mark.parametrize(
    ("choices", "where"),
    [
        ([], "choices"),
        (["a", ""], "choice 1"),
        (["a", "b", "a"], "choice 2"),
        (["a", 5], "choice 1"),
        (["a", b"b"], "choice 1"),
        (["a", None], "choice 1"),
        (["\ud800"], "choice 0"),
    ],
    ids=repr,
)
def test_no_empty_equal_or_non_text_choices(choices: Any, where: str) -> None:
    with pytest.raises(InputError) as caught:
        MERGES.choose("x", choices)
    assert caught.value.where == where


@given(st.lists(st.sampled_from(["a", "b", "", "\ud800", "\udc00", 5, None, b"a"]), max_size=4))
def test_the_quick_check_of_choices_is_that_of_one_after_the_other(choices: list[Any]) -> None:
    try:
        _find_bad_text(choices)
    except InputError:
        assert not _are_good_texts(choices)
    else:
        assert _are_good_texts(choices) or not choices


@pytest.mark.parametrize("choices", ["abc", None, 5])
def test_choices_of_a_wrong_type_are_rejected(choices: Any) -> None:
    with pytest.raises(InputError, match="choices"):
        MERGES.choose("x", choices)
    with pytest.raises(InputError, match="choices"):
        MERGES.choose_many(["x"], choices)


@pytest.mark.parametrize("end", [5, ["\n"], b"\n", "\ud800"])
def test_an_end_that_is_neither_text_nor_eos_is_refused(end: Any) -> None:
    with pytest.raises(InputError, match="suffix"):
        MERGES.choose("x", ["a"], suffix=end)


def test_choices_with_the_same_tokens_are_refused_and_both_named() -> None:
    model = Model(CharTokenizer(normalise=str.lower))
    with pytest.raises(InputError, match=r"'Yes' and 'yes' have the same tokens"):
        encode(model, "x", ["Yes", "no", "yes"])


def test_the_error_of_a_prompt_that_healing_changes_completely() -> None:
    model = random_model(vocabulary="merges", bos=False)
    with pytest.raises(InputError, match="the choices change all tokens") as caught:
        model.choose("a", ["b", "n"])
    assert "is empty" not in str(caught.value)


@given(before=tail, choices=choice_texts)
def test_end_text_belongs_to_every_choice(before: str, choices: list[str]) -> None:
    assume(before)
    with_end = encode(MERGES, before, choices, suffix="\n")
    spelled = encode(MERGES, before, [choice + "\n" for choice in choices])
    assert with_end == spelled
    assert encode(MERGES, before, choices, suffix=EOS) == encode(MERGES, before, choices)


def test_strict_accepts_given_ids_with_special_tokens_that_text_would_spell_the_same() -> None:
    model = Model(CharTokenizer(words=["ab"]))
    prompt = model.encode((TextPiece("x<|end|>y<|end|>za", trusted=True),))
    found = encode(model, prompt, ["c", "d"], boundary="strict")
    assert found == encode(model, prompt, ["c", "d"])
    with pytest.raises(InputError, match="would not begin"):
        encode(model, prompt, ["b", "c"], boundary="strict")


PHRASE = "alpha beta gamma delta epsilon"


@pytest.mark.parametrize(
    ("words", "prompt", "choices"),
    [
        # A token that holds a blank: the end of the prompt alone is cut into other tokens.
        (["word word"], "word word " * 40 + "word word", [" word", "s"]),
        (["word word"], "word word " * 40 + "word", [" word", "s"]),
        # A long token that only the choice completes: far more than its last word is re-spelled.
        ([PHRASE], "word " * 80 + PHRASE[:-1], ["n", "m"]),
    ],
    ids=["blank inside a token", "blank beside a token", "healed far back"],
)
def test_no_split_if_the_end_alone_has_other_tokens(
    words: list[str], prompt: str, choices: list[str]
) -> None:
    model = Model(CharTokenizer(words=words))
    assert encode(model, prompt, choices) == encode(model, prompt, choices, full=True)
