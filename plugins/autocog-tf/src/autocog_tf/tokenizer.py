"""A Transformers tokenizer on bytes: exact surfaces, special tokens only where asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from jinja2 import TemplateError

from autocog_core import InputError, Message, ModelLoadError, Prompt, SpecialToken
from autocog_core.toolkit import (
    SpecialTokenSplitter,
    looks_like_control_token,
    render_chat_prompt,
    tokenize_continuation,
)

#: SentencePiece writes a blank as this.
BLANK = "\u2581"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TextTokenizer:
    """What autocog needs of a tokenizer, over a fast Transformers tokenizer.

    :param tokenizer: a tokenizer with a Rust backend.
    :param size: V, the width of the model's logits.
    :raises ModelLoadError: for a tokenizer without a Rust backend.
    """

    def __init__(self, tokenizer: Any, size: int) -> None:
        self.tokenizer = tokenizer
        self._rust: Any = getattr(tokenizer, "backend_tokenizer", None)
        if self._rust is None:
            raise ModelLoadError(
                f"{type(tokenizer).__name__} is a slow tokenizer",
                hint="autocog needs the fast form: convert it with Transformers",
            )
        self._size = size
        self._added: dict[int, Any] = dict(tokenizer.added_tokens_decoder)
        self._surfaces: dict[int, bytes] = {}
        ids = tokenizer("a", add_special_tokens=True).input_ids
        self.bos: int | None = tokenizer.bos_token_id
        self.adds_bos = self.bos is not None and ids[:1] == [self.bos]
        self.special_tokens = tuple(
            SpecialToken(token.content, id_, bool(token.lstrip), bool(token.rstrip))
            for id_, token in sorted(self._added.items())
            if token.special or looks_like_control_token(token.content)
        )
        self._special_ids = {token.id for token in self.special_tokens}
        unmarked = [t.text for t in self.special_tokens if not self._added[t.id].special]
        # The Rust tokenizer leaves only tokens marked special unparsed: the others are broken up.
        self._cutter = SpecialTokenSplitter(unmarked)
        self._surface: Callable[[str], bytes] = self._pick_surface()
        self._prefixes_blank = self._rust_ids(["a"], False)[0] != self._after_newline("a")

    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        """Token ids of each text, without BOS; see `autocog_core.hooks.specs.tokenize`."""
        cuts = [] if parse_special else [self._cutter.split(text) for text in texts]
        if any(len(parts) > 1 for parts in cuts):
            return [self._joined(parts, at_start) for parts in cuts]
        return self._whole(texts, at_start, parse_special)

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """The bytes of `tokens`; special tokens have none."""
        return b"".join([self._bytes_of(token) for token in tokens])

    def vocabulary(self) -> list[bytes]:
        """The bytes of all V tokens."""
        return [self._bytes_of(token) for token in range(self._size)]

    def chat_prompt(
        self, messages: Sequence[Message], add_generation_prompt: bool
    ) -> Prompt | None:
        """The chat template around `messages`; None if the tokenizer has none."""
        if not self.tokenizer.chat_template:
            return None

        def render(items: list[dict[str, str]]) -> str:
            try:
                text: str = self.tokenizer.apply_chat_template(
                    items, tokenize=False, add_generation_prompt=add_generation_prompt
                )
            except TemplateError as error:
                # Templates refuse so what they do not know: a role, an order of turns.
                raise InputError(
                    f"the model's chat template refuses them: {error}", where="messages"
                ) from error
            return text

        return render_chat_prompt(messages, render, [t.text for t in self.special_tokens])

    @cached_property
    def definition(self) -> str:
        """The tokenizer as JSON, for fingerprints."""
        text: str = self._rust.to_str()
        return text

    def _rust_ids(self, texts: Sequence[str], parse_special: bool) -> list[list[int]]:
        self._rust.no_truncation()
        self._rust.no_padding()
        self._rust.encode_special_tokens = not parse_special
        try:
            encoded = self._rust.encode_batch_fast(list(texts), add_special_tokens=False)
        finally:
            self._rust.encode_special_tokens = False
        return [item.ids for item in encoded]

    def _whole(
        self, texts: Sequence[str], at_start: bool, parse_special: bool = False
    ) -> list[list[int]]:
        """Ids of each text; all added tokens that are not marked special are parsed."""
        if not at_start and self._prefixes_blank:
            return [self._after_newline(text, parse_special) for text in texts]
        return self._rust_ids(texts, parse_special)

    def _joined(self, parts: Sequence[str], at_start: bool) -> list[int]:
        """Ids of a text in parts, of which the first may begin the sequence."""
        first = self._whole(parts[:1], at_start)
        return [token for ids in first + self._whole(parts[1:], False) for token in ids]

    def _after_newline(self, text: str, parse_special: bool = False) -> list[int]:
        return tokenize_continuation(text, lambda texts: self._rust_ids(texts, parse_special))

    def _bytes_of(self, token: int) -> bytes:
        surface = self._surfaces.get(token)
        if surface is None:
            surface = self._surfaces[token] = self._compute_bytes(token)
        return surface

    def _compute_bytes(self, token: int) -> bytes:
        if token in self._special_ids:
            return b""
        if token in self._added:
            content: str = self._added[token].content
            return content.encode("utf-8")
        name = self._rust.id_to_token(token)
        # Logits may be wider than the vocabulary: what is beyond stands for nothing.
        return b"" if name is None else self._surface(name)

    def _pick_surface(self) -> Callable[[str], bytes]:
        decoder = json.dumps(json.loads(self._rust.to_str()).get("decoder"))
        if "ByteLevel" in decoder:
            return _byte_level_surface
        if BLANK in decoder or "Metaspace" in decoder or "\\u2581" in decoder:
            return _sentencepiece_surface
        return lambda name: self._rust.decode([self._rust.token_to_id(name)]).encode("utf-8")


def _byte_values() -> dict[str, int]:
    """Byte-level BPE writes printable bytes as themselves and the others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    values = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in printable]
    values.update({chr(0x100 + place): byte for place, byte in enumerate(others)})
    return values


_BYTES = _byte_values()


def _byte_level_surface(name: str) -> bytes:
    if all(character in _BYTES for character in name):
        return bytes(_BYTES[character] for character in name)
    return name.encode("utf-8")


def _sentencepiece_surface(name: str) -> bytes:
    byte = _BYTE_TOKEN.fullmatch(name)
    if byte is not None:
        return bytes([int(byte.group(1), 16)])
    return name.replace(BLANK, " ").encode("utf-8")
