"""One .gguf file, two tokenizers: autocog-tf makes the tokens that llama.cpp makes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf import TokenType
from tokenizers import Tokenizer as RustTokenizer
from tokenizers import models, pre_tokenizers, trainers

from tests.support.hard_texts import draw_text
from tests.support.llamacpp import gguf_models
from tests.support.trials import Trials, tried

pytest.importorskip("autocog_tf")
pytest.importorskip("autocog_llamacpp")

#: Returns the ids of a text, given whether it begins a sequence.
Tokenize = Callable[[str, bool], list[int]]
#: One type of each way to split text.
TYPES = (
    *("gpt-2", "smollm", "llama-bpe", "dbrx", "glm4", "qwen2", "qwen35", "seed-coder", "gpt-4o"),
    *("tekken", "deepseek-llm", "deepseek-coder", "deepseek-v3", "falcon", "bloom", "viking"),
    "default",
)
_CASED = "".join(c for c in map(chr, range(0x80, 0x20000)) if c.isupper() or c.islower())
#: llama.cpp splits text with these characters in other ways than the models' own tokenizers: it
#: takes letters with accents for capital and small letters, and knows no combining marks ...
NOT_IN_LLAMA_CPP = {
    **dict.fromkeys(("gpt-4o", "tekken"), re.compile(rf"[{_CASED}\u01c5]|(?!\w)[^\s\x00-\x7f]")),
    # ... it keeps Asian blanks apart from Asian signs, and keeps digits together ...
    "deepseek-coder": re.compile(r"[^\S\x00-\x7f]"),
    "deepseek-llm": re.compile(r"[^\S\x00-\x7f]|(?<=[^\W_a-zA-Z])[^\W_a-zA-Z]"),
    # ... and does not look for digits among the characters that stand for bytes.
    "falcon": re.compile(r"[^\x00-\x7f]"),
}


@pytest.fixture(scope="module")
def merges() -> list[tuple[str, str]]:
    """Merges across words, blanks and digits, so that every split makes other tokens."""
    rust = RustTokenizer(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rust.train_from_iterator([draw_text(seed) for seed in range(10_000, 12_000)], trainer)
    pairs = map(tuple, json.loads(rust.to_str())["model"]["merges"])
    merged = {first + second: (first, second) for first, second in pairs}
    # The names of special tokens are no words.
    return [pair for token, pair in merged.items() if "<" not in token]


def pair_of(path: Path) -> tuple[Tokenize, Tokenize]:
    """The tokenizers that both plugins make of a file."""
    from autocog_tf.gguf_tokenizer import GgufTokenizer
    from autocog_tf.tokenizer import TransformersTokenizer
    from tests.support.llamacpp.long_texts import tokenizer_of

    source = GgufTokenizer(path).convert()
    return _callable(TransformersTokenizer(source, len(source))), _callable(tokenizer_of(path))


def _callable(tokenizer: Any) -> Tokenize:
    return lambda text, at_start: tokenizer.tokenize([text], at_start, False)[0]


def differences(
    pair: tuple[Tokenize, Tokenize], texts: list[str], *, starts: tuple[bool, ...] = (True,)
) -> list[str]:
    """The texts to which the two tokenizers give different ids."""
    ours, theirs = pair
    return [t for t in texts if any(ours(t, start) != theirs(t, start) for start in starts)]


@tried(
    "Texts, tokenized from one .gguf file by autocog-tf and by llama.cpp",
    expect="equal tokens",
    normal=20,
    soak=3000,
)
def test_each_type_of_byte_level_tokenizer_makes_the_tokens_of_llama_cpp(
    merges: list[tuple[str, str]], tmp_path: Path, trials: Trials
) -> None:
    words = (*gguf_models.SPECIALS, ("\n\n\n", TokenType.USER_DEFINED))
    for name in TYPES:
        edit = gguf_models.set_metadata(tokenizer__ggml__pre=name)
        path = tmp_path / f"{name}.gguf"
        pair = pair_of(gguf_models.llama(path, merges=merges, specials=words, edit=edit))
        removed = NOT_IN_LLAMA_CPP.get(name, re.compile("(?!)"))
        texts = [removed.sub("x", draw_text(seed)) for seed in trials]
        assert differences(pair, texts) == [], name
        trials.note("equal tokens", len(texts))


PIECES = (
    *("er", "nd", "and", "\u2581A", "\u2581w", "\u2581\u2581", "\u2581\u2581\u2581\u2581"),
    *("12", "東", "京", "東京", "é", "fé", "\n", "\n\u2581", "\u2581\n"),
)


@tried(
    "Texts, tokenized by autocog-tf and llama.cpp from a .gguf file of SentencePiece",
    expect="equal tokens",
    normal=100,
    soak=3000,
)
def test_sentencepiece_makes_the_tokens_of_llama_cpp(tmp_path: Path, trials: Trials) -> None:
    texts = [draw_text(seed) for seed in trials]
    for blank_first in (True, False, None):
        path = sentencepiece_file(tmp_path / f"{blank_first}.gguf", blank_first)
        assert differences(pair_of(path), texts, starts=(True, False)) == [], blank_first
        trials.note("equal tokens", 2 * len(texts))


def sentencepiece_file(path: Path, blank_first: bool | None) -> Path:
    """Write a file whose tokenizer puts a blank first, or not, or does not say it."""
    specials = [(piece, TokenType.NORMAL) for piece in PIECES]
    if blank_first is False:
        # With a blank, both engines would add one after these words too.
        specials += [(word, TokenType.USER_DEFINED) for word in ("\n\n", "\n\n\n", "     ")]

    def edit(writer: Any) -> None:
        values = writer.kv_data[0]
        scores = values["tokenizer.ggml.scores"].value
        scores[-len(specials) :] = [-500.0 - place for place in range(len(specials))]
        if blank_first is None:
            del values["tokenizer.ggml.add_space_prefix"]
        else:
            values["tokenizer.ggml.add_space_prefix"].value = blank_first

    return gguf_models.llama(path, sentencepiece=True, specials=specials, edit=edit)


@pytest.mark.slow
@tried(
    "Texts, tokenized from the file of SmolLM2 by autocog-tf and by llama.cpp",
    expect="equal tokens",
    normal=1000,
    soak=100_000,
)
def test_the_tokens_of_smollm2_are_those_of_llama_cpp(
    smol: tuple[Any, Any], trials: Trials
) -> None:
    # The vocabulary has no tokens for these characters.
    texts = [re.sub(r"[\x04\x06\x13\x14\x16\x1d]", "", draw_text(seed)) for seed in trials]
    assert differences(smol, texts) == []
    trials.note("equal tokens", len(texts))


@pytest.fixture(scope="module")
def smol() -> tuple[Tokenize, Tokenize]:
    """The tokenizers of SmolLM2: of the converted file, and of the file."""
    from transformers import PreTrainedTokenizerFast

    from autocog_core.config.options import package_file
    from autocog_tf.gguf import converted_folder
    from autocog_tf.tokenizer import TransformersTokenizer
    from tests.support.llamacpp.long_texts import tokenizer_of

    path = package_file(gguf_models.SMOL)
    converted = PreTrainedTokenizerFast.from_pretrained(converted_folder(path))
    return (
        _callable(TransformersTokenizer(converted, len(converted))),
        _callable(tokenizer_of(path)),
    )


@pytest.mark.slow
@pytest.mark.parametrize("text", ["Answers:\n\n1. Paris\n\n2.", "a  7", "x \n3"])
def test_blanks_before_digits_stay_together(smol: tuple[Tokenize, Tokenize], text: str) -> None:
    """SmolLM2 was trained on text that is split before each digit, and only then at blanks."""
    ours, theirs = smol
    assert ours(text, True) == theirs(text, True)


#: Texts that llama.cpp splits in another way than the tokenizers that came with the models.
SPLIT_OTHERWISE = {
    "gpt-4o": "éÀ हिन्दी",
    "tekken": "éÀ हिन्दी",
    "deepseek-coder": "\u3000 \u2003",
    "deepseek-llm": "12",
    "falcon": "\xb2",
}


def test_what_llama_cpp_splits_otherwise_is_known(
    merges: list[tuple[str, str]], tmp_path: Path
) -> None:
    assert SPLIT_OTHERWISE.keys() == NOT_IN_LLAMA_CPP.keys()
    for name, text in SPLIT_OTHERWISE.items():
        edit = gguf_models.set_metadata(tokenizer__ggml__pre=name)
        path = gguf_models.llama(tmp_path / f"{name}.gguf", merges=merges, edit=edit)
        assert differences(pair_of(path), [text]) == [text], name
