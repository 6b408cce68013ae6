"""Tokenizers of .gguf files: the model's own tokens, or an error that says why not."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
from gguf import TokenType
from transformers import AutoConfig, AutoModelForCausalLM, LlamaForCausalLM

from autocog_core import ModelLoadError, load
from autocog_tf import gguf as converter
from autocog_tf.gguf_splits import TEXT_SPLITS
from autocog_tf.gguf_tokenizer import GgufTokenizer
from autocog_tf.tokenizer import TransformersTokenizer
from tests.support.llamacpp import gguf_models

BLANK = gguf_models.BLANK
NEWLINE = gguf_models.byte_values()[0x0A]
#: Merges across what some types split: newlines, blanks, digits, and marks.
MERGES = (
    (".", NEWLINE), (NEWLINE, NEWLINE), (BLANK, BLANK), ("1", "2"), ("12", "3"),
    (NEWLINE * 2, "1"), ("a", "1"), (BLANK, "a"),
)  # fmt: skip

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a tiny model; keywords change its metadata, and None removes a key."""

    def write(specials: Any = None, sentencepiece: bool = False, **values: Any) -> Path:
        def edit(writer: gguf.GGUFWriter) -> None:
            for name, value in values.items():
                key = f"tokenizer.{name.replace('__', '.')}"
                if value is None:
                    del writer.kv_data[0][key]
                elif key in writer.kv_data[0]:
                    writer.kv_data[0][key].value = value
                else:
                    writer.add_string(key, value)

        return gguf_models.llama(
            tmp_path / "tiny.gguf",
            sentencepiece=sentencepiece,
            specials=specials,
            merges=MERGES,
            edit=edit,
        )

    return write


def tokenizer_of(path: Path) -> TransformersTokenizer:
    source = GgufTokenizer(path).convert()
    return TransformersTokenizer(source, len(source))


def texts_of(path: Path, text: str, at_start: bool = True) -> list[str]:
    """The texts of the tokens of a text."""
    tokenizer = tokenizer_of(path)
    ids = tokenizer.tokenize([text], at_start, False)[0]
    return [tokenizer.detokenize([id_]).decode() for id_ in ids]


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("gpt-2", [".", "\n", "\n", "123", " ", " a", "1"]),
        ("smollm", [".", "\n\n", "1", "2", "3", " ", " a", "1"]),
        ("llama-bpe", [".\n", "\n", "123", " ", " a", "1"]),
        ("qwen2", [".\n", "\n", "1", "2", "3", " ", " a", "1"]),
        ("deepseek-coder", [".", "\n", "\n", "1", "2", "3", " ", " a", "1"]),
    ],
)
def test_text_is_split_as_the_type_of_the_file_says(
    name: str, texts: list[str], write: Write
) -> None:
    assert texts_of(write(ggml__pre=name), ".\n\n123  a1") == texts


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("tekken", "éÀ हिन्दी", ["é", "À", " हिन्दी"]),
        ("gpt-4o", "HTTPServer don't ÀÉi's", ["HTTPServer", " don't", " ÀÉi's"]),
        ("falcon", "a--1234.5", ["a", "--", "123", "4", ".", "5"]),
        ("deepseek-v3", "日本の x1234\n", ["日本の", " x", "123", "4", "\n"]),
        ("bloom", "a b, c.", ["a", " b", ",", " c", "."]),
        ("viking", "a12", ["a", "1", "2"]),
    ],
)
def test_the_rules_are_those_of_the_original_tokenizers(
    name: str, text: str, parts: list[str]
) -> None:
    found = TEXT_SPLITS[name].make().pre_tokenize_str(text)
    assert [text[start:end] for _, (start, end) in found] == parts


def test_tokenizers_that_ignore_merges_find_whole_tokens(write: Write) -> None:
    """No merges lead to "xyz"."""
    specials = [*gguf_models.SPECIALS, ("xyz", TokenType.NORMAL)]
    assert texts_of(write(specials, ggml__pre="llama-bpe"), "xyz") == ["xyz"]
    assert texts_of(write(specials, ggml__pre="dbrx"), "xyz") == ["x", "y", "z"]


@pytest.mark.parametrize("name", ["kimi-k2", "newest"])
def test_a_type_that_is_not_known_is_refused(name: str, write: Write) -> None:
    path = write(ggml__pre=name)
    with pytest.raises(ModelLoadError, match=f'tokenizers of the type "{name}" split') as caught:
        load(backend="tf", options={"model_path": str(path), "device": "cpu"})
    assert "tiny.gguf, tokenizer.ggml.pre: " in str(caught.value)
    assert "llamacpp" in caught.value.hint


@pytest.mark.parametrize("kind", ["bert", "t5", "rwkv", "plamo2", "none"])
def test_a_kind_that_is_not_supported_is_refused(kind: str, write: Write) -> None:
    with pytest.raises(ModelLoadError, match=f'kind "{kind}" are not supported'):
        tokenizer_of(write(ggml__model=kind))


@pytest.mark.parametrize("value", [None, "default"])
def test_each_load_warns_if_the_file_does_not_say_how_text_is_split(
    value: str | None,
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "cache"))
    path = write(ggml__pre=value)
    options = {"model_path": str(path), "device": "cpu"}
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "autocog_tf"), load(backend="tf", options=options):
            assert "tiny.gguf: the file does not say how its tokenizer splits" in caplog.text
    write(ggml__pre="gpt-2")
    caplog.clear()
    with load(backend="tf", options=options):
        assert "does not say" not in caplog.text


def test_models_converted_by_an_earlier_version_are_converted_again(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "cache"))
    path = write()
    monkeypatch.setattr(converter, "VERSION", converter.VERSION - 1)
    before = converter.converted_folder(path)
    monkeypatch.undo()
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "cache"))
    assert converter.converted_folder(path) != before


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3_5", "phi3", "gemma2"])
def test_a_loaded_tokenizer_is_the_one_that_was_made(
    architecture: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transformers makes other tokenizers of saved ones, for some architectures."""
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "cache"))
    path = write(sentencepiece=architecture == "gemma2")
    made = GgufTokenizer(path).convert()
    converted = converter.converted_folder(path)
    config = json.loads((converted / "config.json").read_text())
    # The weights are those of a llama.
    loaded = AutoConfig.from_pretrained(converted)
    (converted / "config.json").write_text(json.dumps(config | {"model_type": architecture}))
    monkeypatch.setattr(
        AutoModelForCausalLM,
        "from_pretrained",
        lambda folder, output_loading_info, **_: LlamaForCausalLM.from_pretrained(
            folder, config=loaded, output_loading_info=output_loading_info
        ),
    )
    with load(backend="tf", options={"model_path": str(path), "device": "cpu"}) as model:
        tokenizer = model._backend.engine.tokenizer  # type: ignore[attr-defined]
        assert tokenizer.definition == made.backend_tokenizer.to_str()
        assert tokenizer.tokenizer.special_tokens_map == made.special_tokens_map


@pytest.mark.parametrize(
    ("kind", "name", "flag", "adds"),
    [
        ("byte-level", "llama-bpe", None, True),
        ("byte-level", "tekken", None, True),
        ("byte-level", "qwen2", None, False),
        ("byte-level", "qwen2", True, True),
        ("byte-level", "llama-bpe", False, False),
        ("sentencepiece", "default", None, True),
        ("sentencepiece", "default", False, False),
    ],
)
def test_bos_is_added_as_the_file_says_or_else_as_its_type_does(
    kind: str, name: str, flag: bool | None, adds: bool, write: Write
) -> None:
    path = write(sentencepiece=kind == "sentencepiece", ggml__pre=name, ggml__add_bos_token=flag)
    assert tokenizer_of(path).adds_bos is adds


@pytest.mark.parametrize("id_", [None, 10_000])
def test_bos_without_a_token_is_refused(id_: int | None, write: Write) -> None:
    with pytest.raises(ModelLoadError, match="does not say which token that is"):
        tokenizer_of(write(ggml__add_bos_token=True, ggml__bos_token_id=id_))
    assert tokenizer_of(write(ggml__bos_token_id=id_)).bos is None


def test_special_tokens_keep_their_ids_whatever_their_letters(write: Write) -> None:
    """DeepSeek's names are not written in the letters of byte-level BPE."""
    name = "<\uff5cbegin\u2581of\u2581sentence\uff5c>"
    path = write([(name, TokenType.CONTROL), *gguf_models.SPECIALS[1:]], ggml__pre="deepseek-v3")
    tokenizer = tokenizer_of(path)
    size = 256 + len(MERGES)
    assert (tokenizer.bos, len(tokenizer.tokenizer)) == (size, size + 4)
    assert tokenizer.tokenize([name], True, True) == [[size]]
    assert tokenizer.detokenize(tokenizer.tokenize([name], True, False)[0]) == name.encode()


@pytest.mark.parametrize("name", ["<|bos|>", "<|im_end|>", "</s>"])
def test_special_tokens_that_a_file_marks_as_words_are_special(name: str, write: Write) -> None:
    """BOS, EOS and the names of ends, as in llama.cpp."""
    path = write(
        [("<|bos|>", TokenType.NORMAL), ("<|end|>", TokenType.NORMAL)]
        + [(text, TokenType.NORMAL) for text in ("<|im_end|>", "</s>")]
    )
    tokenizer = tokenizer_of(path)
    assert len(tokenizer.tokenize([name], True, True)[0]) == 1
    assert tokenizer.detokenize(tokenizer.tokenize([name], True, True)[0]) == b""
    assert tokenizer.detokenize(tokenizer.tokenize([name], True, False)[0]) == name.encode()


def test_words_of_blanks_are_found_before_text_is_split(write: Write) -> None:
    words = [
        *gguf_models.SPECIALS,
        ("   ", TokenType.USER_DEFINED),
        ("\n\n\n", TokenType.USER_DEFINED),
    ]
    assert texts_of(write(words), "a    b\n\n\n\n") == ["a", "   ", " ", "b", "\n\n\n", "\n"]


@pytest.mark.parametrize(("prefix", "blanks"), [(True, 3), (None, 3), (False, 2)])
def test_sentencepiece_puts_a_blank_before_a_text_that_begins_with_blanks(
    prefix: bool | None, blanks: int, write: Write
) -> None:
    path = write(sentencepiece=True, ggml__add_space_prefix=prefix)
    assert "".join(texts_of(path, "  in")) == " " * blanks + "in"
    assert "".join(texts_of(path, "  in", at_start=False)) == "  in"


def test_sentencepiece_merges_nothing_to_a_special_token(write: Write) -> None:
    pieces = [("</", TokenType.NORMAL), ("s>", TokenType.NORMAL)]
    assert texts_of(write(pieces, True), "</s>", at_start=False) == ["</", "s>"]


@pytest.mark.parametrize("sentencepiece", [False, True])
def test_a_vocabulary_that_is_not_whole_is_refused(sentencepiece: bool, write: Write) -> None:
    names = ["ggml__model", "ggml__tokens", "ggml__scores" if sentencepiece else "ggml__merges"]
    for name in names:
        with pytest.raises(ModelLoadError, match=f"the file has no tokenizer.ggml.{name[6:]}"):
            tokenizer_of(write(None, sentencepiece, **{name: None}))
    with pytest.raises(ModelLoadError, match="tokens without a type"):
        tokenizer_of(write(None, sentencepiece, ggml__token_type=[1, 1]))
    size = len(tokenizer_of(write(None, sentencepiece)).tokenizer)
    with pytest.raises(ModelLoadError, match="several tokens with one name"):
        tokenizer_of(write(None, sentencepiece, ggml__tokens=["a"] * size))


def test_sentencepiece_without_some_byte_is_refused(tmp_path: Path) -> None:
    def forget(writer: gguf.GGUFWriter) -> None:
        words = writer.kv_data[0]["tokenizer.ggml.tokens"].value
        words[words.index("<0xC3>")] = "something else"

    path = gguf_models.llama(tmp_path / "tiny.gguf", sentencepiece=True, edit=forget)
    with pytest.raises(ModelLoadError, match="no token for the byte 0xC3"):
        tokenizer_of(path)


def test_special_tokens_of_phi_3_take_the_blanks_after_them(tmp_path: Path) -> None:
    specials = [("<|user|>", TokenType.CONTROL)]
    for name, strips in (("Phi-3 mini", True), ("Other", False)):
        path = gguf_models.llama(
            tmp_path / "tiny.gguf",
            sentencepiece=True,
            specials=specials,
            edit=lambda writer, name=name: writer.add_name(name),
        )
        found = {token.text: token.strips_right for token in tokenizer_of(path).special_tokens}
        assert found == {"<unk>": False, "<s>": False, "</s>": strips, "<|user|>": strips}
