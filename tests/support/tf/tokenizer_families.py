"""Tiny tokenizers of the common families, trained on the spot, each with special tokens of a chat.

They differ in how they split words, write blanks, and treat text that they have no token for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
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
    trainers,
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
    rust.add_special_tokens([AddedToken(TURN, special=True), AddedToken(END, special=True)])
    if adds_bos:
        rust.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, rust.token_to_id(bos))]
        )
    unknown = getattr(rust.model, "unk_token", None) or UNKNOWN
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=rust, bos_token=bos, eos_token=eos, unk_token=unknown
    )


def _train(rust: Any, trainer: Any) -> Any:
    rust.train_from_iterator(CORPUS * 4, trainer)
    return rust


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


def _unigram(normalizer: Any, scheme: str, *, byte_fallback: bool) -> Any:
    rust = Tokenizer(models.Unigram())
    rust.normalizer = normalizer
    rust.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)  # type: ignore[arg-type]
    trainer = trainers.UnigramTrainer(
        vocab_size=480,
        special_tokens=[*SPECIAL[:3], *(BYTE_TOKENS if byte_fallback else [])],
        unk_token=UNKNOWN,
        show_progress=False,
    )
    definition = json.loads(_train(rust, trainer).to_str())
    definition["model"]["byte_fallback"] = byte_fallback
    definition["added_tokens"] = [
        token for token in definition["added_tokens"] if token["content"] in SPECIAL
    ]
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "split": True}
    metaspace["prepend_scheme"] = scheme
    definition["decoder"] = {
        "type": "Sequence",
        "decoders": [{"type": "ByteFallback"}, metaspace],
    }
    return _wrap(Tokenizer.from_str(json.dumps(definition)))


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
    rust = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    rust.normalizer = normalizers.BertNormalizer(lowercase=True)
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    rust.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False
    )
    return _wrap(_train(rust, trainer), bos="[CLS]", eos="[SEP]")


def bpe_of_characters() -> Any:
    """A BPE that drops characters without a token."""
    rust = Tokenizer(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    rust.decoder = decoders.Metaspace(prepend_scheme="never")
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=SPECIAL[:3], show_progress=False
    )
    return _wrap(_train(rust, trainer), adds_bos=False)


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
