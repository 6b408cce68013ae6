"""Tiny tokenizers of all kinds, built of a few words with the package `tokenizers`.

They differ in how they split words, write blanks, and treat text that they have no token for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

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

CORPUS = [
    "The capital of France is Paris. The capital of Italy is Rome.",
    "Answer: Paris, France\nAnswer: the inclined plane\nQuestion: which machine is it?",
    "1 10 100 1000 2024 naïve café 東京 😀 the and that there their then",
]
UNKNOWN, BOS, EOS, TURN, END = "<unk>", "<s>", "</s>", "<|turn|>", "<|end|>"
SPECIAL = [UNKNOWN, BOS, EOS, TURN, END]
BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]
BLANK = "\u2581"
#: How Llama 3 splits text.
LLAMA_3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def words_and_characters(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the different words and characters of texts, sorted: equal in every process."""
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    return sorted(words), sorted({character for text in texts for character in text} - {" "})


def add_special(rust: Tokenizer, *, adds_bos: bool = True, bos: str = BOS, eos: str = EOS) -> Any:
    """Add the special tokens of a chat; the unknown token only if the model has it."""
    specials = [UNKNOWN, bos, eos, TURN, END]
    known = [name for name in specials if name != UNKNOWN or rust.token_to_id(name) is not None]
    rust.add_special_tokens([AddedToken(name, special=True) for name in known])
    if adds_bos:
        rust.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, rust.token_to_id(bos))]
        )
    return rust


def byte_level(
    splitter: Any = None,
    *,
    normalizer: Any = None,
    vocab_size: int = 400,
    ignore_merges: bool = False,
) -> Tokenizer:
    """Return a trained byte-level BPE."""
    rust = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    rust.normalizer = normalizer
    rust.pre_tokenizer = splitter or pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    rust.train_from_iterator(CORPUS * 4, trainer)
    return rust


def byte_level_after(*splitters: Any) -> Tokenizer:
    """Return a byte-level BPE that splits text in another way first."""
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return byte_level(pre_tokenizers.Sequence([*splitters, last]))


def byte_level_with_added_words() -> Tokenizer:
    """Return a byte-level BPE with tokens that are found in text as they are."""
    rust = byte_level()
    rust.add_tokens([AddedToken("    ", normalized=False), AddedToken("zebra", normalized=False)])
    rust.add_tokens([AddedToken("<tool_call>", normalized=False)])
    rust.add_special_tokens([AddedToken("<|strip|>", special=True, lstrip=True, rstrip=True)])
    return rust


def bytes_alone() -> Tokenizer:
    """Return a byte-level BPE without merges: each byte is a token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {character: index for index, character in enumerate(alphabet)}
    rust = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    rust.decoder = decoders.ByteLevel()
    return rust


def sentencepiece(normalizer: Any = None, splitter: Any = None) -> Tokenizer:
    """Return a BPE that writes blanks as U+2581, and unknown characters as bytes."""
    letters = sorted({c for text in CORPUS for c in text if c.isascii() and c.isprintable()})
    pieces = [*SPECIAL[:3], *BYTE_TOKENS, BLANK, *letters]
    pieces = list(dict.fromkeys(BLANK if piece == " " else piece for piece in pieces))
    merges = [("t", "h"), ("th", "e"), (BLANK, "the"), (BLANK, "P"), ("a", "r"), ("i", "s")]
    merges += [(f"{BLANK}P", "ar"), (f"{BLANK}Par", "is"), ("1", "0"), ("10", "0"), (BLANK, "a")]
    merges += [(BLANK, BLANK)]
    pieces += [first + second for first, second in merges]
    rust = Tokenizer(
        models.BPE(
            vocab={piece: index for index, piece in enumerate(pieces)},
            merges=merges,
            unk_token=UNKNOWN,
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    rust.normalizer = normalizer
    rust.pre_tokenizer = splitter
    rust.decoder = decoders.Sequence(
        [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return rust


def metaspace(scheme: Any, *, split: bool = True) -> Any:
    """Return the part that writes blanks as U+2581: "always", "first" or "never" at the start."""
    return pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)


def _blanks_replaced(*, prepend: bool) -> Any:
    replace = normalizers.Replace(" ", BLANK)
    return normalizers.Sequence([normalizers.Prepend(BLANK), replace]) if prepend else replace


def unigram(normalizer: Any, scheme: Any, *, byte_fallback: bool) -> Tokenizer:
    """Return a Unigram model of the words and characters of the corpus."""
    texts = [normalizer.normalize_str(text) if normalizer else text for text in CORPUS]
    words, characters = words_and_characters(texts)
    pieces = [(name, 0.0) for name in SPECIAL[:3]]
    pieces += [(name, -20.0) for name in (BYTE_TOKENS if byte_fallback else [])]
    pieces += [(BLANK + word, -5 - index / 100) for index, word in enumerate(words)]
    pieces += [(word, -6 - index / 100) for index, word in enumerate(words) if len(word) > 1]
    pieces += [(text, -4.0 - len(text)) for text in (BLANK, f"{BLANK}t", "he", "Pa", "ar", "is")]
    pieces += [(text, -9.0) for text in characters]
    pieces = list({text: (text, score) for text, score in reversed(pieces)}.values())[::-1]
    rust = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=byte_fallback))
    rust.normalizer = normalizer
    rust.pre_tokenizer = metaspace(scheme)
    rust.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=scheme)]
    )
    return rust


def trained_unigram() -> Tokenizer:
    """Return a Unigram model with the pieces and scores that its trainer finds."""
    rust = Tokenizer(models.Unigram())
    rust.pre_tokenizer = metaspace("never")
    rust.decoder = decoders.Metaspace(prepend_scheme="never")
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=SPECIAL[:3], unk_token=UNKNOWN, show_progress=False
    )
    rust.train_from_iterator(CORPUS * 4, trainer)
    return rust


def unigram_of_bytes() -> Tokenizer:
    """Return a Unigram model over the byte alphabet."""
    pieces = [(character, -9.0) for character in sorted(pre_tokenizers.ByteLevel.alphabet())]
    pieces += [(piece, -3.0) for piece in ("Ġthe", "Ġcapital", "ĠParis", "is", "Ġ")]
    pieces = list(dict(reversed(pieces)).items())[::-1]
    rust = Tokenizer(models.Unigram(pieces))
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.decoder = decoders.ByteLevel()
    return rust


def wordpiece(normalizer: Any = None, splitter: Any = None, decoder: Any = None) -> Tokenizer:
    """Return a WordPiece model; without arguments, like BERT: lower case, no blanks."""
    texts = [text if splitter else text.lower() for text in CORPUS]
    words, characters = words_and_characters(texts)
    normalizer = normalizer or (None if splitter else normalizers.BertNormalizer(lowercase=True))
    starts = [BLANK, *(BLANK + word for word in words), *words] if splitter else words
    pieces = [*starts, *characters, *(f"##{c}" for c in [*characters, BLANK])]
    if normalizer:
        pieces = list(map(normalizer.normalize_str, pieces))
    pieces = list(dict.fromkeys(["[UNK]", "[CLS]", "[SEP]", *pieces]))
    vocab = {piece: index for index, piece in enumerate(pieces)}
    rust = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    rust.normalizer = normalizer
    rust.pre_tokenizer = splitter or pre_tokenizers.BertPreTokenizer()
    rust.decoder = decoder or decoders.WordPiece()
    return rust


def bpe_of_characters() -> Tokenizer:
    """Return a BPE without an unknown token: it drops characters that have no token."""
    characters = words_and_characters(CORPUS)[1]
    merges = [("t", "h"), ("th", "e"), (BLANK, "the"), ("i", "s"), (BLANK, "a"), ("1", "0")]
    pieces = [*SPECIAL[1:3], BLANK, *characters, *(a + b for a, b in merges)]
    vocab = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    rust = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    rust.pre_tokenizer = metaspace("never")
    rust.decoder = decoders.Metaspace(prepend_scheme="never")
    return rust


def bpe_with_suffixes() -> Tokenizer:
    """Return a BPE like that of GPT-1: the last token of a word ends in `</w>`."""
    characters = words_and_characters(CORPUS)[1]
    pieces = [*characters, *(f"{character}</w>" for character in characters), "<unk>"]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    rust = Tokenizer(models.BPE(vocab, [], unk_token="<unk>", end_of_word_suffix="</w>"))
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    rust.decoder = decoders.BPEDecoder(suffix="</w>")
    return rust


def whole_words() -> Tokenizer:
    """Return a tokenizer of whole words, without blanks."""
    words = [UNKNOWN, *words_and_characters(CORPUS)[0], *["the", "cat", "a", "b"]]
    vocab = {word: index for index, word in enumerate(dict.fromkeys(words))}
    rust = Tokenizer(models.WordLevel(vocab, unk_token=UNKNOWN))
    rust.pre_tokenizer = pre_tokenizers.Whitespace()
    return rust


def xlm_normalizer() -> Any:
    """Return the normalizer of XLM-R and XGLM: characters are converted, and blanks merged."""
    return normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )


def stripping_normalizer() -> Any:
    """Return a normalizer to lower case, without blanks at both ends."""
    return normalizers.Sequence([normalizers.Strip(), normalizers.Lowercase()])


#: Tokenizers that keep texts as they are, or in a Unicode form.
EXACT: dict[str, Callable[[], Tokenizer]] = {
    "byte_level": lambda: add_special(byte_level(), adds_bos=False),
    "byte_level_with_bos": lambda: add_special(byte_level()),
    "byte_level_with_first_blank": lambda: add_special(
        byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True)), adds_bos=False
    ),
    "byte_level_like_llama_3": lambda: add_special(
        byte_level_after(pre_tokenizers.Split(Regex(LLAMA_3_SPLIT), "isolated"))
    ),
    "byte_level_with_single_digits": lambda: add_special(
        byte_level_after(pre_tokenizers.Digits(individual_digits=True)), adds_bos=False
    ),
    "byte_level_without_splitting": lambda: add_special(byte_level_after(), adds_bos=False),
    "byte_level_that_ignores_merges": lambda: add_special(byte_level(ignore_merges=True)),
    "byte_level_in_nfc": lambda: add_special(
        byte_level(normalizer=normalizers.NFC()), adds_bos=False
    ),
    "byte_level_with_added_words": lambda: add_special(
        byte_level_with_added_words(), adds_bos=False
    ),
    "bytes_alone": lambda: add_special(bytes_alone()),
    "sentencepiece_like_llama_2": lambda: add_special(
        sentencepiece(_blanks_replaced(prepend=True))
    ),
    "sentencepiece_with_first_blank": lambda: add_special(
        sentencepiece(splitter=metaspace("first", split=False))
    ),
    "sentencepiece_like_gemma": lambda: add_special(sentencepiece(_blanks_replaced(prepend=False))),
    "sentencepiece_of_words": lambda: add_special(sentencepiece(splitter=metaspace("never"))),
    "unigram": lambda: add_special(unigram(None, "always", byte_fallback=False)),
    "unigram_with_bytes": lambda: add_special(unigram(None, "never", byte_fallback=True)),
    "unigram_with_first_blank": lambda: add_special(unigram(None, "first", byte_fallback=True)),
    "unigram_in_nfkc": lambda: add_special(
        unigram(normalizers.NFKC(), "always", byte_fallback=True)
    ),
    "trained_unigram": lambda: add_special(trained_unigram(), adds_bos=False),
    "unigram_of_bytes": lambda: add_special(unigram_of_bytes(), adds_bos=False),
    "wordpiece_with_blanks": lambda: add_special(
        wordpiece(splitter=metaspace("never"), decoder=decoders.Metaspace(prepend_scheme="never")),
        bos="[CLS]",
        eos="[SEP]",
    ),
    "bpe_of_characters": lambda: add_special(bpe_of_characters(), adds_bos=False),
}
#: Tokenizers that change ordinary texts.
LOSSY: dict[str, Callable[[], Tokenizer]] = {
    "wordpiece_like_bert": lambda: add_special(wordpiece(), bos="[CLS]", eos="[SEP]"),
    "unigram_that_merges_blanks": lambda: add_special(
        unigram(xlm_normalizer(), "always", byte_fallback=True)
    ),
    "unigram_that_strips": lambda: add_special(
        unigram(stripping_normalizer(), "always", byte_fallback=True)
    ),
    "bpe_with_suffixes": lambda: add_special(bpe_with_suffixes(), adds_bos=False),
    "whole_words": lambda: add_special(whole_words(), adds_bos=False),
}
