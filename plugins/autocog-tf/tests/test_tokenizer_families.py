"""Tokenizers of the common families: conversations as they write them, and text that they lose."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from tokenizers import AddedToken

from autocog_core import (
    BackendInfo,
    ChoiceRequest,
    InputError,
    Message,
    Model,
    ModelLoadError,
    Prompt,
    TextPiece,
    hookimpl,
)
from autocog_core.scoring import joint_tokenization
from autocog_core.scoring.choice_encoding import encode_choices
from autocog_core.toolkit import respects_word_boundaries
from autocog_tf import TfLM
from autocog_tf.tokenizer import TransformersTokenizer
from tests.support.tf import tiny_models as tiny
from tests.support.tf.tokenizer_families import FAMILIES, TEMPLATES
from tests.support.trials import Trials, tried

WORDS = (
    *("the", "capital", " of", "France", "is", "Paris", ",", ".", "1", "10", " ", "  ", "\n"),
    *("Question", "machine", "Answer:", "café", "ﬁ", "東", " a"),
)


class TokenizerOnly:
    """A backend that has a tokenizer, and no model."""

    def __init__(self, family: str) -> None:
        self.tokenizer = FAMILIES[family]()
        self.text = TransformersTokenizer(self.tokenizer, 512)

    @hookimpl
    def tokenize(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        return self.text.tokenize(texts, at_start, parse_special)

    @hookimpl
    def detokenize(self, tokens: Sequence[int]) -> bytes:
        return self.text.detokenize(tokens)

    @hookimpl
    def vocabulary(self) -> list[bytes]:
        return self.text.vocabulary()

    @hookimpl
    def chat_prompt(self, messages: Sequence[Message], add_generation_prompt: bool) -> Any:
        return self.text.chat_prompt(messages, add_generation_prompt, {})

    @hookimpl
    def describe(self) -> BackendInfo:
        return BackendInfo(
            name="tokenizer",
            vocabulary_size=512,
            bos=self.text.bos,
            adds_bos=self.text.adds_bos,
            special_tokens=self.text.special_tokens,
            restarts_after_special_tokens=self.text.restarts_after_special_tokens,
            splits_at_word_boundaries=respects_word_boundaries(self.text.vocabulary()),
        )


@cache
def tokenizer_of(family: str) -> tuple[Any, Model]:
    backend = TokenizerOnly(family)
    return backend.tokenizer, Model(backend)


def conversation(generator: random.Random) -> tuple[str, list[dict[str, str]], list[str]]:
    """Return the kind of template, the messages and two choices of an answer."""
    roles = ("user", "assistant", "user")[: generator.choice([1, 3])]
    # Now and then long enough for core to tokenize only the end with each choice.
    longest = generator.choice([6, 6, 120])
    messages = [
        {
            "role": role,
            "content": "".join(generator.choices(WORDS, k=generator.randint(1, longest))).strip()
            or "a",
        }
        for role in roles
    ]
    words = [generator.choice(["Paris", "the", "1", "no", "is"]), "and"]
    choices = [generator.choice(["", " "]) + word for word in words]
    return generator.choice(list(TEMPLATES)), messages, choices


@tried(
    "Answers in chats, by family of tokenizer",
    expect="the tokens of the whole conversation, or the name of what has no token",
    normal=300,
    soak=20_000,
)
def test_an_answer_has_the_last_tokens_of_the_whole_conversation(trials: Trials) -> None:
    families = list(FAMILIES)
    for seed in trials:
        family = families[seed % len(families)]
        tokenizer, model = tokenizer_of(family)
        template, messages, choices = conversation(random.Random(seed))
        tokenizer.chat_template = TEMPLATES[template]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        try:
            request = ChoiceRequest(prompt=model.chat_prompt(messages), choices=tuple(choices))
            encoded = encode_choices(model.client, request)
        except InputError as refusal:
            message = str(refusal)
            assert any(loses_text(family, tokenizer, text + choice) for choice in choices), message
            trials.note("refused by name")
            continue
        for choice, decided in zip(choices, encoded.choice_ids, strict=True):
            ids = tokenizer(text + choice, add_special_tokens=False).input_ids
            if model.info.adds_bos and ids[:1] != [model.info.bos]:
                ids.insert(0, model.info.bos)
            assert [*encoded.shared_ids, *decided] == ids, (family, template, text + choice)
        trials.note("the tokens of the whole conversation")


LABEL_STARTS = (
    " Paris",
    " the",
    " France",
    " caf\u00e9",
    " machine",
    " is",
    " 1",
    "Paris",
    " \u6771",
)


@tried(
    "Rows with many labels, by family of tokenizer",
    expect="the tokens of the whole texts, or the name of what has no token",
    normal=200,
    soak=20_000,
)
def test_labels_have_the_tokens_of_whole_texts_in_row_after_row(trials: Trials) -> None:
    families = list(FAMILIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint_tokenization, "MIN_CONTINUATIONS", 2)
        patch.setattr(joint_tokenization, "MIN_JOINED", 2)
        for seed in trials:
            generator = random.Random(seed)
            _, model = tokenizer_of(families[seed % len(families)])
            starts = generator.choices(LABEL_STARTS, (5, 5, 5, 2, 5, 5, 1, 1, 1), k=8)
            labels = {
                a + "".join(generator.choices(WORDS, k=generator.choice([0, 1, 3]))) for a in starts
            }
            suffix = generator.choice([None, None, "\n", "."])
            noted = False
            for _ in range(3):
                row = "".join(generator.choices(WORDS, k=generator.randint(1, 20)))
                request = ChoiceRequest(
                    prompt=Prompt.of("the" + row), choices=tuple(sorted(labels)), suffix=suffix
                )
                whole, fast = (tokens_or_error(model, request, full) for full in (True, False))
                assert fast == whole, (families[seed % len(families)], request)
                noted = noted or isinstance(whole, str)
            trials.note("refused by name" if noted else "the tokens of the whole texts")


def tokens_or_error(model: Model, request: ChoiceRequest, full: bool) -> object:
    try:
        return encode_choices(model.client, request, full=full)
    except InputError as error:
        return str(error)


def loses_text(family: str, tokenizer: Any, text: str) -> bool:
    """Return whether the tokenizer has an unknown token, or none, for a part of a text."""
    encoding = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    if tokenizer.unk_token_id in encoding.ids:
        return True
    characters = {character for character in text if not character.isspace()}
    return family == "bpe_of_characters" and not characters <= tokenizer.get_vocab().keys()


def test_the_first_word_after_a_special_token_has_the_blank_that_the_tokenizer_adds() -> None:
    restarts = {name: tokenizer_of(name)[1].info.restarts_after_special_tokens for name in FAMILIES}
    assert {name for name, value in restarts.items() if value} == {
        "byte_level_with_first_blank",
        "sentencepiece_bpe",
        "unigram",
        "unigram_nfkc",
        "unigram_stripping",
    }


@pytest.mark.parametrize(
    ("family", "text", "lost"),
    [
        ("unigram", "the Œ of", "Œ"),
        ("wordpiece", "the Œ of", "Œ"),
        ("bpe_of_characters", "the Œ of", "Œ"),
        ("bpe_of_characters", "Œ", "Œ"),
    ],
)
def test_text_without_a_token_is_refused_by_name(family: str, text: str, lost: str) -> None:
    """The model would score the unknown token, or the text without these characters."""
    model = tokenizer_of(family)[1]
    with pytest.raises(InputError, match=f"no token for '{lost}'"):
        model.tokenize(text)
    with pytest.raises(InputError, match=f"no token for '{lost}'"):
        encode_choices(model.client, ChoiceRequest(prompt=Prompt.of("the"), choices=(text, "1")))
    assert model.tokenize("the of")


@pytest.mark.parametrize("family", ["unigram_stripping", "wordpiece"])
def test_choices_that_become_the_same_tokens_or_none_are_refused_by_name(family: str) -> None:
    client = tokenizer_of(family)[1].client
    with pytest.raises(InputError, match="choices 0 and 1: ' PARIS' and ' Paris' have the same"):
        encode_choices(client, ChoiceRequest(prompt=Prompt.of("a"), choices=(" PARIS", " Paris")))
    with pytest.raises(InputError, match=r"choice 1: '\\n' has no token of its own"):
        encode_choices(client, ChoiceRequest(prompt=Prompt.of("a"), choices=("the", "\n")))
    with pytest.raises(InputError, match=r"suffix: '\\n' has no token"):
        encode_choices(
            client, ChoiceRequest(prompt=Prompt.of("a"), choices=("the", "is"), suffix="\n")
        )


@pytest.mark.parametrize("name", ["</s>", "<0x41>", "<|turn|>"])
def test_names_of_special_and_byte_tokens_in_text_stay_text(name: str) -> None:
    for family in ("unigram_bytes", "unigram_nfkc", "sentencepiece_bpe"):
        model = tokenizer_of(family)[1]
        special = {token.id for token in model.info.special_tokens}
        for text in (name, f"the {name} of{name}"):
            tokens = model.tokenize(text)
            assert not special & set(tokens), (family, text)
            assert model.detokenize(tokens).removeprefix(" ") == text, family


def test_words_of_wordpiece_are_written_with_blanks() -> None:
    model = tokenizer_of("wordpiece")[1]
    assert model.detokenize(model.tokenize("the capitals of France")) == " the capitals of france"


# Tokens that the model has no row for.


def too_many_tokens() -> Any:
    tokenizer = tiny.byte_level_tokenizer()
    tokenizer.add_tokens([f"<|extra{number}|>" for number in range(200)], special_tokens=True)
    tokenizer.add_tokens([AddedToken("zebra", normalized=False)])
    return tokenizer


def test_tokens_without_rows_are_named_at_load_and_refused_in_use(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "autocog_tf"):
        engine = tiny.TfEngine(tiny.tiny_model("llama"), too_many_tokens(), name="resized")
    (record,) = caplog.records
    count = len(too_many_tokens()) - 512
    text = f"resized: the tokenizer has tokens that the model has no row for ({count}, such as "
    assert record.message.startswith(text)
    with TfLM(engine=engine).as_model() as model:
        assert model.info.details["tokens_without_rows"] == count
        calls = [
            lambda: model.choose("a zebra", ["x", "y"]),
            lambda: model.choose("a ", ["zebra", "y"]),
            lambda: model.complete("a zebra", max_tokens=2),
            lambda: model.tokenize("zebra"),
        ]
        for call in calls:
            with pytest.raises(
                InputError, match="'zebra' is a token of the tokenizer, and the mod"
            ):
                call()
        special = Prompt((TextPiece("a<|extra199|>", trusted=True),))
        with pytest.raises(InputError, match=r"the special token '<\|extra199\|>' has the id"):
            model.choose(special, ["x", "y"])
        assert model.choose("a horse", ["x", "y"]).exact


def test_a_bos_without_a_row_is_an_error_at_load_and_an_eos_is_left_out() -> None:
    tokenizer = tiny.sentencepiece_tokenizer()
    with pytest.raises(ModelLoadError, match="BOS has the id 1, and the model ends at 0"):
        TransformersTokenizer(tokenizer, 1)
    tokenizer = too_many_tokens()
    tokenizer.eos_token = "<|extra199|>"
    engine = tiny.TfEngine(tiny.tiny_model("llama"), tokenizer)
    assert tokenizer.eos_token_id >= 512
    assert engine.info.eos == (2,)


def test_fewer_tokens_than_rows_are_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "autocog_tf"):
        engine = tiny.tiny_engine()
    assert not caplog.records
    assert "tokens_without_rows" not in engine.info.details
