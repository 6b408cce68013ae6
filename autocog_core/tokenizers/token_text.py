"""What the parts of a Rust tokenizer do to text: bytes of tokens, and text without tokens."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from autocog_core.errors import InputError
from autocog_core.tokenizers.byte_alphabet import BYTE_OF_CHARACTER, decode_byte_alphabet
from autocog_core.tokenizers.plain_text import looks_like_control_token
from autocog_core.types.backend_info import SpecialToken, UnicodeForm

#: SentencePiece writes a blank as this character.
BLANK = "\u2581"
#: SentencePiece's names of bytes.
BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
#: Each Unicode form makes another text of it.
_NORMALIZED_SAMPLE = "e\u0301\ufb01\u00e9"
#: Texts that may stand before a continuation.
_TEXTS_BEFORE = ("\n", ".", ";", ",", "a")
_BLANKS = re.compile(rf"[\s{BLANK}]+")
_SPACES = re.compile(f"[ {BLANK}]+")


def select_decoder(rust: Any, definition: Mapping[str, Any]) -> Callable[[str], bytes]:
    """Return the function from a token's name in the vocabulary to its bytes.

    :param rust: the tokenizer.
    :param definition: its parts, as in a tokenizer.json.
    """
    decoder = definition.get("decoder") or {}
    model = definition["model"]
    decode = _select_by_decoder(rust, decoder)
    if model["type"] == "WordPiece" and decoder.get("type") != "WordPiece":
        prefix: str = model["continuing_subword_prefix"]
        return lambda name: decode(name.removeprefix(prefix))
    return decode


def _select_by_decoder(rust: Any, decoder: Mapping[str, Any]) -> Callable[[str], bytes]:
    written = json.dumps(decoder)
    if "ByteLevel" in written:
        return decode_byte_alphabet
    if "Metaspace" in written or "\\u2581" in written:
        return _decode_sentencepiece
    if decoder.get("type") == "WordPiece":
        return lambda name: _decode_wordpiece(name, decoder["prefix"])
    if decoder.get("type") == "BPEDecoder":
        return lambda name: name.replace(decoder["suffix"], " ").encode("utf-8")
    return lambda name: rust.decode([rust.token_to_id(name)]).encode("utf-8")


def find_added_bos(rust: Any) -> int | None:
    """Return the one special token that a tokenizer puts before every text, if it does."""
    encoding = rust.encode("a", add_special_tokens=True)
    is_added = encoding.special_tokens_mask
    count = next((index for index, added in enumerate(is_added) if not added), len(is_added))
    return int(encoding.ids[0]) if count == 1 else None


def find_unknown(rust: Any, definition: Mapping[str, Any]) -> int | None:
    """Return the id of the token for text that has no token; None if there is none.

    :param rust: the tokenizer.
    :param definition: its parts, as in a tokenizer.json.
    """
    model = definition["model"]
    unknown = model.get("unk_id")
    if unknown is None and model.get("unk_token") is not None:
        unknown = rust.token_to_id(model["unk_token"])
    return None if unknown is None else int(unknown)


def list_model_ids(definition: Mapping[str, Any]) -> frozenset[int]:
    """Return the ids of the vocabulary, without those of tokens that were added to it.

    :param definition: the parts of the tokenizer, as in a tokenizer.json.
    """
    vocabulary = definition["model"]["vocab"]
    # Of Unigram, a list of tokens and scores. The ids of the others may have gaps.
    is_list = isinstance(vocabulary, list)
    return frozenset(range(len(vocabulary)) if is_list else vocabulary.values())


def list_special_tokens(added: Mapping[int, Any]) -> tuple[SpecialToken, ...]:
    """Return the added tokens that user text must not produce, by id.

    :param added: the added tokens of a tokenizer, by id.
    """
    return tuple(
        SpecialToken(
            token.content,
            id_,
            strips_left=bool(token.lstrip),
            strips_right=bool(token.rstrip),
        )
        for id_, token in sorted(added.items())
        if token.special or looks_like_control_token(token.content)
    )


def text_before_continuations(rust: Any, unknown: int | None) -> str:
    """Return a text that the tokenizer keeps as it is before other text, mostly a newline.

    :param rust: the tokenizer.
    :param unknown: the id of the unknown token, which would swallow the text after it.
    """
    for before in _TEXTS_BEFORE:
        if rust.normalizer and before not in rust.normalizer.normalize_str(f"a{before} a"):
            continue
        ids = rust.encode(before, add_special_tokens=False).ids
        if ids and unknown not in ids:
            return before
    return _TEXTS_BEFORE[0]


def find_unicode_form(rust: Any) -> UnicodeForm | None:
    """Return the Unicode form that the tokenizer converts text to, if it does."""
    if rust.normalizer is None:
        return None
    text = rust.normalizer.normalize_str(_NORMALIZED_SAMPLE).strip(f" {BLANK}")
    forms: tuple[UnicodeForm, ...] = get_args(UnicodeForm)
    return next((form for form in forms if _changes_to(form, text)), None)


def may_drop_text(rust: Any, definition: Mapping[str, Any]) -> bool:
    """Return whether characters vanish if the vocabulary has no token for them.

    :param rust: the tokenizer.
    :param definition: its parts, as in a tokenizer.json.
    """
    model = definition["model"]
    if model["type"] != "BPE" or model.get("byte_fallback") or model.get("unk_token"):
        return False
    is_byte_level = "ByteLevel" in json.dumps([definition.get("decoder")])
    return not (is_byte_level and BYTE_OF_CHARACTER.keys() <= model["vocab"].keys())


def require_known_text(
    rust: Any, text: str, ids: Sequence[int], unknown: int | None, raw: bytes | None
) -> None:
    """Refuse a text of which the tokens spell only a part.

    :param rust: the tokenizer.
    :param text: the text.
    :param ids: its tokens.
    :param unknown: the id of the unknown token.
    :param raw: the bytes of the tokens; None if no text can vanish without the unknown token.
    :raises InputError: naming the characters.
    """
    lost = ""
    if unknown is not None and unknown in ids:
        encoding = rust.encode(text, add_special_tokens=False)
        spans = zip(encoding.ids, encoding.offsets, strict=True)
        lost = next((text[a:b] for token, (a, b) in spans if token == unknown), "") or text
    elif raw is not None:
        normalized = rust.normalizer.normalize_str(text) if rust.normalizer else text
        ignored = _SPACES if _keeps_tabs(rust) else _BLANKS
        if ignored.sub("", raw.decode("utf-8", "replace")) != ignored.sub("", normalized):
            vocabulary = rust.get_vocab(True)
            characters = (c for c in dict.fromkeys(text) if c not in vocabulary)
            lost = "".join(characters).strip(" ") or text
    if lost:
        raise InputError(
            f"the model's tokenizer has no token for {lost!r}",
            where="text",
            hint="remove it: the model would score another text. Or give the prompt's token ids",
        )


def _keeps_tabs(rust: Any) -> bool:
    """Return whether the tokenizer tries to find a token for a tab: some split text there."""
    parts = rust.pre_tokenizer.pre_tokenize_str("a\tb") if rust.pre_tokenizer else [("\t", None)]
    return any("\t" in text for text, _ in parts)


def _changes_to(form: UnicodeForm, text: str) -> bool:
    return text == unicodedata.normalize(form, _NORMALIZED_SAMPLE) != _NORMALIZED_SAMPLE


def _decode_sentencepiece(name: str) -> bytes:
    byte = _BYTE_TOKEN.fullmatch(name)
    if byte is not None:
        return bytes([int(byte.group(1), 16)])
    return name.replace(BLANK, " ").encode("utf-8")


def _decode_wordpiece(name: str, prefix: str) -> bytes:
    """Return the bytes of a token that continues a word, or begins one after a blank."""
    if name.startswith(prefix):
        return name.removeprefix(prefix).encode("utf-8")
    return f" {name}".encode()
