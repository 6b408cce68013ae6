"""Tiny tokenizers of the common families, built of a few words, each with special tokens of a chat.

They differ in how they split words, write blanks, and treat text that they have no token for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import transformers as tf
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from tests.support.tf.tiny_models import CORPUS, byte_level_tokenizer, sentencepiece_tokenizer

UNKNOWN, BOS, EOS, TURN, END = "<unk>", "<s>", "</s>", "<|turn|>", "<|end|>"
SPECIAL = [UNKNOWN, BOS, EOS, TURN, END]
BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]
#: A chat in which an answer directly follows a special token, a newline, or a word.
TEMPLATES = {
    "special token": (
        "{% for m in messages %}<|turn|>{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|turn|>{% endif %}"
    ),
    "newline": (
        "{% for m in messages %}<|turn|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
    ),
    "word": (
        "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    ),
}


def _wrap(rust: Any, *, adds_bos: bool = True, bos: str = BOS, eos: str = EOS) -> Any:
    specials = [UNKNOWN, bos, eos, TURN, END]
    known = [name for name in specials if name != UNKNOWN or rust.token_to_id(name) is not None]
    rust.add_special_tokens([AddedToken(name, special=True) for name in known])
    if adds_bos:
        rust.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, rust.token_to_id(bos))]
        )
    unknown = getattr(rust.model, "unk_token", None) or UNKNOWN
    if rust.token_to_id(unknown) is None:
        unknown = None
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=rust, bos_token=bos, eos_token=eos, unk_token=unknown
    )


def _words_and_characters(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the different words and characters of texts, sorted: equal in every process."""
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    return sorted(words), sorted({character for text in texts for character in text} - {" "})


def byte_level() -> Any:
    """Like GPT-2, Llama 3 and Qwen."""
    tokenizer = byte_level_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": [TURN, END]})
    return tokenizer


def byte_level_with_first_blank() -> Any:
    """Byte-level, with a blank before the first word, as RoBERTa's in some uses."""
    tokenizer = byte_level_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.add_special_tokens({"additional_special_tokens": [TURN, END]})
    return tokenizer


def sentencepiece_bpe() -> Any:
    """Like Llama 2 in its older form: a blank after every special token."""
    tokenizer = sentencepiece_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": [TURN, END]})
    return tokenizer


def sentencepiece_bpe_first() -> Any:
    """Like Llama 2 and Mistral in their newer form: a blank only at the start of the text."""
    tokenizer = sentencepiece_bpe()
    rust = tokenizer.backend_tokenizer
    rust.normalizer = None
    rust.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return tokenizer


def _unigram(normalizer: Any, scheme: Any, *, byte_fallback: bool) -> Any:
    texts = [normalizer.normalize_str(text) if normalizer else text for text in CORPUS]
    words, characters = _words_and_characters(texts)
    pieces = [(name, 0.0) for name in SPECIAL[:3]]
    pieces += [(name, -20.0) for name in (BYTE_TOKENS if byte_fallback else [])]
    pieces += [("\u2581" + word, -5 - index / 100) for index, word in enumerate(words)]
    pieces += [(word, -6 - index / 100) for index, word in enumerate(words) if len(word) > 1]
    pieces += [(text, -4.0 - len(text)) for text in ("\u2581", "\u2581t", "he", "Pa", "ar", "is")]
    pieces += [(text, -9.0) for text in characters]
    pieces = list({text: (text, score) for text, score in reversed(pieces)}.values())[::-1]
    rust = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=byte_fallback))
    rust.normalizer = normalizer
    rust.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    rust.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=scheme)]
    )
    return _wrap(rust)


def unigram() -> Any:
    """Like T5: a blank after every special token, and an unknown token."""
    return _unigram(None, "always", byte_fallback=False)


def unigram_nfkc() -> Any:
    """Like XLM-R and XGLM: characters are normalized, and blanks are merged."""
    normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    return _unigram(normalizer, "always", byte_fallback=True)


def unigram_bytes() -> Any:
    """Like Gemma: no first blank, and bytes for what has no token."""
    return _unigram(None, "never", byte_fallback=True)


def unigram_stripping() -> Any:
    """Lower case, without blanks at both ends."""
    normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.Lowercase()])
    return _unigram(normalizer, "always", byte_fallback=True)


def wordpiece() -> Any:
    """Like BERT, and GPT-2 models of Chinese: lower case, words and their parts."""
    words, characters = _words_and_characters([text.lower() for text in CORPUS])
    normalizer = normalizers.BertNormalizer(lowercase=True)
    pieces = ["[UNK]", "[CLS]", "[SEP]", *words, *characters, *(f"##{c}" for c in characters)]
    pieces = list(dict.fromkeys(map(normalizer.normalize_str, pieces)))
    pieces[:3] = ["[UNK]", "[CLS]", "[SEP]"]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    rust = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    rust.normalizer = normalizer
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    rust.decoder = decoders.WordPiece()
    return _wrap(rust, bos="[CLS]", eos="[SEP]")


def bpe_of_characters() -> Any:
    """A BPE without an unknown token: it drops characters that have no token."""
    characters = _words_and_characters(CORPUS)[1]
    merges = [("t", "h"), ("th", "e"), ("\u2581", "the"), ("i", "s"), ("\u2581", "a"), ("1", "0")]
    pieces = [*SPECIAL[1:3], "\u2581", *characters, *(a + b for a, b in merges)]
    vocab = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    rust = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    rust.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    rust.decoder = decoders.Metaspace(prepend_scheme="never")
    return _wrap(rust, adds_bos=False)


FAMILIES: dict[str, Callable[[], Any]] = {
    make.__name__: make
    for make in (
        byte_level,
        byte_level_with_first_blank,
        sentencepiece_bpe,
        sentencepiece_bpe_first,
        unigram,
        unigram_nfkc,
        unigram_bytes,
        unigram_stripping,
        wordpiece,
        bpe_of_characters,
    )
}
