"""Tiny tokenizers of the common families, built of a few words, each with special tokens of a chat.

They differ in how they split words, write blanks, and treat text that they have no token for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import transformers as tf
from tokenizers import pre_tokenizers

from tests.support import tokenizer_kinds as kinds
from tests.support.tf.tiny_models import byte_level_tokenizer, sentencepiece_tokenizer
from tests.support.tokenizer_kinds import BOS, END, EOS, TURN, UNKNOWN

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
    kinds.add_special(rust, adds_bos=adds_bos, bos=bos, eos=eos)
    unknown = getattr(rust.model, "unk_token", None) or UNKNOWN
    if rust.token_to_id(unknown) is None:
        unknown = None
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=rust, bos_token=bos, eos_token=eos, unk_token=unknown
    )


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


def unigram() -> Any:
    """Like T5: a blank after every special token, and an unknown token."""
    return _wrap(kinds.unigram(None, "always", byte_fallback=False))


def unigram_nfkc() -> Any:
    """Like XLM-R and XGLM: characters are normalized, and blanks are merged."""
    return _wrap(kinds.unigram(kinds.xlm_normalizer(), "always", byte_fallback=True))


def unigram_bytes() -> Any:
    """Like Gemma: no first blank, and bytes for what has no token."""
    return _wrap(kinds.unigram(None, "never", byte_fallback=True))


def unigram_stripping() -> Any:
    """Lower case, without blanks at both ends."""
    return _wrap(kinds.unigram(kinds.stripping_normalizer(), "always", byte_fallback=True))


def wordpiece() -> Any:
    """Like BERT, and GPT-2 models of Chinese: lower case, words and their parts."""
    return _wrap(kinds.wordpiece(), bos="[CLS]", eos="[SEP]")


def bpe_of_characters() -> Any:
    """A BPE without an unknown token: it drops characters that have no token."""
    return _wrap(kinds.bpe_of_characters(), adds_bos=False)


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
