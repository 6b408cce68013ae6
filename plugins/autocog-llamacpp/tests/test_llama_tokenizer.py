"""Text to tokens and back: exact bytes, no BOS inside, special tokens only where trusted."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
from gguf import TokenType
from hypothesis import given, settings
from hypothesis import strategies as st

from autocog_core import ChoiceRequest, InputError, ModelLoadError, Prompt, TextPiece
from autocog_core.scoring.choice_encoding import encode_choices
from autocog_llamacpp.llama.tokenizer import MAX_SMALL_STACK_BYTES, Tokenizer
from tests.support.llamacpp import gguf_models
from tests.support.llamacpp.long_texts import RUNS, one, tokenizer_of
from tests.support.processes import child_environment

GgufFile = Callable[..., Path]

ENCODABLE = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
# SentencePiece writes a blank as U+2581, so that this character itself becomes one.
SENTENCEPIECE_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"), max_size=40
)
HARD = [
    "",
    " ",
    "  \t ",
    "\n",
    "\r\n\r\n",
    "\0",
    "a\0b\0",
    "\x01\x02\x1b[0m\x7f",
    "naïve café, Straße",
    "e\u0301 and é",
    "東京は、日本の首都。",
    "привет شكرا עברית हिन्दी",
    "😀👩‍👩‍👧🇫🇷",
    "\ufeff\u200b\u202e\ufffd\U0010ffff",
    "pneumonoultramicroscopicsilicovolcanoconiosis" * 5,
    "1234567890" * 12,
    "<0x0A> <|unknown|> Ġ Ċ",
    "don't I'll we've 'tis",
]
SPECIAL = ["<|bos|>", "<|end|>", "<|start|>", "<tool_call>"]


@pytest.fixture(scope="module")
def byte_level(gguf_file: GgufFile) -> Tokenizer:
    return tokenizer_of(gguf_file("llama"))


@pytest.fixture(scope="module")
def sentencepiece(gguf_file: GgufFile) -> Tokenizer:
    return tokenizer_of(gguf_file("llama", sentencepiece=True))


@settings(deadline=None)
@given(text=ENCODABLE, at_start=st.booleans())
def test_byte_level_round_trip_is_exact(byte_level: Tokenizer, text: str, at_start: bool) -> None:
    assert byte_level.detokenize(one(byte_level, text, at_start)) == text.encode()


@settings(deadline=None)
@given(text=SENTENCEPIECE_TEXT)
def test_sentencepiece_adds_a_space_at_the_start_only(sentencepiece: Tokenizer, text: str) -> None:
    inside = one(sentencepiece, text, at_start=False)
    assert sentencepiece.detokenize(inside) == text.encode()
    expected = b" " + text.encode() if text else b""
    assert sentencepiece.detokenize(one(sentencepiece, text)) == expected


@pytest.mark.parametrize("text", HARD)
def test_difficult_texts_survive_a_round_trip(
    byte_level: Tokenizer, sentencepiece: Tokenizer, text: str
) -> None:
    for tokenizer in (byte_level, sentencepiece):
        tokens = one(tokenizer, text, at_start=False)
        assert tokenizer.detokenize(tokens) == text.encode()
        assert b"".join(tokenizer.detokenize([token]) for token in tokens) == text.encode()


@settings(deadline=None)
@given(first=ENCODABLE, second=ENCODABLE)
def test_bytes_of_a_concatenation_are_the_concatenated_bytes(
    byte_level: Tokenizer, sentencepiece: Tokenizer, first: str, second: str
) -> None:
    for tokenizer in (byte_level, sentencepiece):
        a, b = one(tokenizer, first), one(tokenizer, second, at_start=False)
        assert tokenizer.detokenize(a + b) == tokenizer.detokenize(a) + tokenizer.detokenize(b)


def test_text_after_a_special_token_has_the_blank_that_llama_cpp_adds(
    sentencepiece: Tokenizer, byte_level: Tokenizer, make_llama: Callable[..., Any]
) -> None:
    assert sentencepiece.restarts_after_special_tokens
    assert not byte_level.restarts_after_special_tokens
    model = make_llama(file={"sentencepiece": True}).as_model()
    text = "the</s>capital\n</s>answer:"
    prompt = Prompt((TextPiece(text, trusted=True),))
    whole = one(sentencepiece, text, special=True)
    assert model.encode(prompt)[-len(whole) :] == whole
    encoded = encode_choices(
        model.client,
        ChoiceRequest(prompt=Prompt((TextPiece("a</s>", trusted=True),)), choices=("b",)),
    )
    assert [*encoded.shared_ids, *encoded.choice_ids[0]][1:] == one(
        sentencepiece, "a</s>b", special=True
    )


def test_several_texts_are_tokenized_as_each_alone(byte_level: Tokenizer) -> None:
    together = byte_level.tokenize(HARD, True, False)
    assert together == [one(byte_level, text) for text in HARD]
    assert byte_level.tokenize([], True, False) == []


def test_characters_split_over_tokens_survive_a_round_trip(byte_level: Tokenizer) -> None:
    tokens = one(byte_level, "😀")
    assert len(tokens) == 4
    assert [byte_level.detokenize([token]) for token in tokens] == [
        bytes([byte]) for byte in "😀".encode()
    ]


def test_bytes_that_no_token_spells_become_byte_tokens(sentencepiece: Tokenizer) -> None:
    tokens = one(sentencepiece, "é", at_start=False)
    assert [sentencepiece.detokenize([token]) for token in tokens] == [b"\xc3", b"\xa9"]


def test_a_space_is_added_before_the_first_word_of_a_sequence_only(
    sentencepiece: Tokenizer,
) -> None:
    assert sentencepiece.detokenize(one(sentencepiece, "the Paris")) == b" the Paris"
    inside = one(sentencepiece, "the Paris", at_start=False)
    assert sentencepiece.detokenize(inside) == b"the Paris"
    assert one(sentencepiece, " the", at_start=False) == one(sentencepiece, "the")


def test_no_space_is_added_after_an_added_word(
    gguf_file: GgufFile,
) -> None:
    """llama.cpp would add one there."""
    words = (("Paris", TokenType.USER_DEFINED), ("Par", TokenType.USER_DEFINED))
    tokenizer = tokenizer_of(gguf_file("llama", sentencepiece=True, specials=words))
    word = next(t for t in range(tokenizer.size) if tokenizer.text_of(t) == "Paris")
    for text in ("in Paris, the", "Paris", "ParisParis the", "in Paris"):
        tokens = one(tokenizer, text, at_start=False)
        assert tokens.count(word) == text.count("Paris")
        assert tokenizer.detokenize(tokens) == text.encode()


def test_words_added_to_the_vocabulary_are_ordinary_text(gguf_file: GgufFile) -> None:
    words = ((" " * 4, TokenType.USER_DEFINED), ("x" * 200, TokenType.USER_DEFINED))
    tokenizer = tokenizer_of(gguf_file("llama", specials=words))
    assert tokenizer.special_tokens == ()
    blanks, long = tokenizer.size - 2, tokenizer.size - 1
    assert blanks in one(tokenizer, "a    b")
    assert tokenizer.detokenize([blanks]) == b"    "
    # Longer than any first guess at the room that its bytes need.
    assert one(tokenizer, "x" * 200) == [long]
    assert tokenizer.detokenize([long, long]) == b"x" * 400
    assert tokenizer.vocabulary()[long] == b"x" * 200


def test_a_long_token_survives_a_round_trip(gguf_file: GgufFile) -> None:
    words = (("😀" * 40, TokenType.USER_DEFINED), ("東" * 22, TokenType.NORMAL))
    tokenizer = tokenizer_of(gguf_file("llama", sentencepiece=True, specials=words))
    assert tokenizer.detokenize([tokenizer.size - 2]) == ("😀" * 40).encode()
    assert tokenizer.detokenize([tokenizer.size - 1]) == ("東" * 22).encode()


def test_a_vocabulary_has_the_bytes_of_each_token(
    byte_level: Tokenizer, sentencepiece: Tokenizer
) -> None:
    for tokenizer in (byte_level, sentencepiece):
        vocabulary = tokenizer.vocabulary()
        assert len(vocabulary) == tokenizer.size
        assert vocabulary == [tokenizer.detokenize([t]) for t in range(tokenizer.size)]
        special = {token.id for token in tokenizer.special_tokens}
        assert all((surface == b"") is (t in special) for t, surface in enumerate(vocabulary))
        assert {bytes([byte]) for byte in range(256)} <= set(vocabulary)


def test_token_bytes_equal_llama_cpps(gguf_file: GgufFile) -> None:
    path = gguf_file("llama")
    reference = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    tokenizer = tokenizer_of(path)
    special = {token.id for token in tokenizer.special_tokens}
    for token, surface in enumerate(tokenizer.vocabulary()):
        if token not in special:
            assert surface == reference.detokenize([token])


def test_whether_bos_is_added_is_what_the_file_says(gguf_file: GgufFile) -> None:
    for adds in (False, True):
        tokenizer = tokenizer_of(gguf_file("llama", adds_bos=adds))
        assert tokenizer.adds_bos is adds
        assert tokenizer.text_of(tokenizer.bos) == "<|bos|>"
    no_bos = gguf_models.set_metadata(tokenizer__ggml__add_bos_token=False)
    assert tokenizer_of(gguf_file("llama", sentencepiece=True)).adds_bos
    assert not tokenizer_of(gguf_file("llama", sentencepiece=True, edit=no_bos)).adds_bos


def test_bos_is_added_once_and_never_inside(make_llama: Any) -> None:
    model = make_llama(file={"sentencepiece": True}).as_model()
    tokens = model.encode("the Paris")
    assert tokens[0] == 1
    assert 1 not in tokens[1:]
    assert model.encode("") == [1]
    assert 1 not in model.tokenize("the Paris")
    for written in ("<s>the", "<s>", "a<s>"):
        assert model.encode(written).count(1) == 1


def test_an_empty_prompt_without_bos_is_a_clear_error(make_llama: Any) -> None:
    model = make_llama()
    with pytest.raises(InputError, match="no BOS"):
        model.choose("", ["a", "b"])
    assert len(model.choose("x", ["a", "b"]).scores) == 2


@pytest.mark.parametrize(
    "text",
    [
        *("a<|end|>b", "<|start|>user", "<|bos|>", "<|st<|end|>art|>"),
        *("<tool_call>", "say <tool_call>twice<tool_call>", "<tool_<tool_call>call>"),
    ],
)
def test_special_tokens_in_user_text_stay_text(byte_level: Tokenizer, text: str) -> None:
    special = {token.id for token in byte_level.special_tokens}
    assert [token.text for token in byte_level.special_tokens] == SPECIAL
    for at_start in (True, False):
        tokens = one(byte_level, text, at_start)
        assert not special & set(tokens)
        assert byte_level.detokenize(tokens) == text.encode()
    assert special & set(one(byte_level, text, special=True))


@pytest.mark.parametrize("text", ["<s>", "a</s>b", "<unk>", "the <tool_call> is<tool_call>"])
@pytest.mark.parametrize("at_start", [True, False])
def test_special_tokens_stay_text_if_a_space_is_added(
    gguf_file: GgufFile, text: str, at_start: bool
) -> None:
    """They are not parsed, and no spaces are added after the splits."""
    specials = (("<tool_call>", TokenType.USER_DEFINED),)
    tokenizer = tokenizer_of(gguf_file("llama", sentencepiece=True, specials=specials))
    tokens = one(tokenizer, text, at_start)
    assert not {token.id for token in tokenizer.special_tokens} & set(tokens)
    assert tokenizer.detokenize(tokens) == b" " * at_start + text.encode()


def test_special_tokens_that_merges_would_spell_stay_text(gguf_file: GgufFile) -> None:
    """SentencePiece merges texts to any token, also to a control token."""
    pieces = (("</", TokenType.NORMAL), ("s>", TokenType.NORMAL))
    tokenizer = tokenizer_of(gguf_file("llama", sentencepiece=True, specials=pieces))
    assert tokenizer.eos == (2,)
    for text in ("</s>", "in</s>the</s>", "</</s>s>"):
        tokens = one(tokenizer, text, at_start=False)
        assert 2 not in tokens
        assert tokenizer.detokenize(tokens) == text.encode()
    # Elsewhere these pieces are used.
    assert tokenizer.size - 2 in one(tokenizer, "</b>", at_start=False)


def test_special_tokens_are_parsed_in_trusted_pieces(make_llama: Any) -> None:
    model = make_llama().as_model()
    for special in model.info.special_tokens:
        trusted = model.encode(Prompt((TextPiece(special.text, trusted=True),)))
        assert trusted == [special.id]
        assert special.id not in model.encode(special.text)
        assert model.tokenize(special.text, parse_special=True) == [special.id]
    end = model.tokenize("<|end|>", parse_special=True)
    mixed = Prompt((TextPiece("a<|end|>", trusted=True), TextPiece("<|end|>b")))
    assert model.encode(mixed).count(end[0]) == 1


def test_all_tokens_that_end_a_text_are_known(gguf_file: GgufFile) -> None:
    """The file's EOS, and tokens that llama.cpp recognizes by name."""
    specials = (
        *gguf_models.SPECIALS,
        ("<|im_end|>", TokenType.CONTROL),
        ("<|eot_id|>", TokenType.CONTROL),
    )
    tokenizer = tokenizer_of(gguf_file("llama", specials=specials))
    assert [tokenizer.text_of(t) for t in tokenizer.eos] == ["<|end|>", "<|im_end|>", "<|eot_id|>"]


def test_text_that_is_not_unicode_is_a_clear_error(make_llama: Any) -> None:
    model = make_llama()
    with pytest.raises(InputError, match="lone surrogate"):
        model.tokenize("a\udc80")
    with pytest.raises(InputError, match="lone surrogate"):
        model.choose("a\ud83d", ["b"])
    assert model.tokenize("a")


def test_a_vocabulary_without_some_byte_is_refused(gguf_file: GgufFile) -> None:
    """llama.cpp would abort the process at such a character."""

    def forget(writer: Any) -> None:
        words = writer.kv_data[0]["tokenizer.ggml.tokens"].value
        words[words.index("<0xC3>")] = "something else"

    with pytest.raises(ModelLoadError, match="no token for the byte 0xC3"):
        tokenizer_of(gguf_file("llama", sentencepiece=True, edit=forget))
    assert tokenizer_of(gguf_file("llama", sentencepiece=True))


#: How text is split for GPT-2, o200k, DeepSeek 3 and many others. All but the first are regular
#: expressions of the standard library, which recurse for every character.
SPLITS = ["gpt-2", "gpt-4o", "deepseek-v3", "default"]

# In a process of its own: a stack that overflows ends it.
ROUND_TRIPS = """
import sys
from pathlib import Path
from tests.support.llamacpp.long_texts import RUNS, one, tokenizer_of
for path in sys.argv[1:]:
    tokenizer = tokenizer_of(Path(path))
    for name, text in RUNS.items():
        print(path, name, flush=True)
        tokens = one(tokenizer, text, at_start=False)
        assert tokenizer.detokenize(tokens) == text.encode(), (path, name)
"""


def run_python(code: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, env=child_environment(), capture_output=True, text=True, timeout=300, check=False
    )


def with_split(gguf_file: GgufFile, name: str) -> Path:
    return gguf_file("llama", edit=gguf_models.set_metadata(tokenizer__ggml__pre=name))


@pytest.mark.slow
@pytest.mark.parametrize("names", [SPLITS[:2], pytest.param(SPLITS[2:], marks=pytest.mark.soak)])
def test_300000_characters_without_a_word_boundary_are_tokenized(
    gguf_file: GgufFile, names: list[str]
) -> None:
    files = [with_split(gguf_file, name) for name in names]
    done = run_python(ROUND_TRIPS, *files)
    assert done.returncode == 0, (done.stdout[-200:], done.stderr[-500:])


def test_300000_characters_are_tokenized_without_text_splitting(sentencepiece: Tokenizer) -> None:
    for name in ("letters", "blanks", "digits", "signs", "words"):
        text = RUNS[name]
        assert sentencepiece.detokenize(one(sentencepiece, text, False)) == text.encode()


SMALL_STACK = """
import sys, threading
from pathlib import Path
from tests.support.llamacpp.long_texts import one, tokenizer_of
tokenizer = tokenizer_of(Path(sys.argv[1]))
threading.stack_size(512 * 1024)
for count in (900, 1_100, 30_000):
    found = []
    thread = threading.Thread(target=lambda: found.append(one(tokenizer, "a" * count)))
    thread.start()
    thread.join()
    assert len(found[0]) == count
assert threading.stack_size() == 512 * 1024
"""


def test_the_callers_stack_does_not_matter(gguf_file: GgufFile) -> None:
    path = with_split(gguf_file, "gpt-4o")
    done = run_python(SMALL_STACK, path)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.parametrize("name", ["gpt-2", "gpt-4o"])
def test_long_text_has_the_tokens_that_llama_cpp_gives(gguf_file: GgufFile, name: str) -> None:
    path = with_split(gguf_file, name)
    reference = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    tokenizer = tokenizer_of(path)
    generator = np.random.default_rng(3)
    for length in (
        MAX_SMALL_STACK_BYTES - 1,
        MAX_SMALL_STACK_BYTES,
        MAX_SMALL_STACK_BYTES + 1,
        5_000,
    ):
        text = "".join(generator.choice(list("aA1 '.\n\té東Paristhe"), length).tolist())
        expected = reference.tokenize(text.encode(), add_bos=False, special=False)
        assert one(tokenizer, text) == expected


def test_text_without_memory_for_the_stack_is_a_clear_error(
    byte_level: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "a" * (MAX_SMALL_STACK_BYTES + 1)
    before = threading.stack_size()

    def none(*_: Any) -> Any:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(ThreadPoolExecutor, "submit", none)
        with pytest.raises(InputError, match="1001 bytes is too long") as caught:
            one(byte_level, text)
    assert caught.value.hint
    assert threading.stack_size() == before
    assert len(one(byte_level, text)) == len(text)


def test_several_threads_may_tokenize_long_text_at_once(byte_level: Tokenizer) -> None:
    texts = ["the Paris " * (200 + i) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: one(byte_level, text), texts))
    assert found == [one(byte_level, text) for text in texts]
    assert threading.stack_size() == 0


WORDS = [
    *("the", "capital", "of", "France", "is", "Paris", "HTTP/2", "question", "naïve", "café"),
    *("東京", "привет", "ß", "Ω", "😀", "👩‍👩‍👧", "(a)", "x=y+z;", "don't", "I'll", "2024"),
    *("-3.14", "\t", "{}", "__init__", "e\u0301", "<|im_end|>", "<|im_start|>user", "<repo_name>"),
]


@pytest.mark.slow
def test_the_real_models_tokens_are_those_that_transformers_gives(
    smol: Any, smol_on_torch: Any
) -> None:
    reference = smol_on_torch
    generator = np.random.default_rng(5)
    texts = list(HARD)
    for _ in range(400):
        words = generator.choice(WORDS, int(generator.integers(1, 12)))
        blanks = generator.choice([" ", " ", "", "\n", "  ", "\n\n", "\t"], len(words))
        texts.append("".join(f"{a}{b}" for a, b in zip(words, blanks, strict=True)))
    for at_start in (True, False):
        ours = smol.tokenize_impl(texts, at_start, False)
        theirs = reference.tokenize_impl(texts, at_start, False)
        for text, a, b in zip(texts, ours, theirs, strict=True):
            assert a == b, text
            assert smol.detokenize_impl(a) == reference.detokenize_impl(a) == text.encode()
    assert smol.vocabulary_impl() == reference.vocabulary_impl()
    ours, theirs = smol.describe_impl(), reference.describe_impl()
    assert ours.special_tokens == theirs.special_tokens
    assert (ours.bos, ours.adds_bos) == (theirs.bos, theirs.adds_bos)
    assert set(theirs.eos) <= set(ours.eos)


@pytest.mark.parametrize("kind", ["t5", "rwkv"])
def test_a_character_that_becomes_the_unknown_token_is_refused(tmp_path: Path, kind: str) -> None:
    """Unigram and RWKV vocabularies need no byte tokens: llama.cpp writes `<unk>`."""
    edit = gguf_models.set_metadata(**{"tokenizer.ggml.model": kind})
    file = gguf_models.llama(tmp_path / "model.gguf", sentencepiece=True, edit=edit)
    tokenizer = tokenizer_of(file)
    assert tokenizer.detokenize(one(tokenizer, "Paris")).strip() == b"Paris"
    for text, character in (("Paris\u00ef", "\u00ef"), ("\u6771", "\u6771")):
        with pytest.raises(InputError, match=f"no token for '{character}'"):
            one(tokenizer, text)
    # Trusted text may name it.
    assert 0 in one(tokenizer, "<unk>", special=True)
    assert 0 not in one(tokenizer, "<unk>")
