"""llama.cpp's tokenizer as autocog needs it: on bytes, special tokens only where asked for."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp

from autocog_core import ModelLoadError, SpecialToken
from autocog_core.untrusted import Cutter, continued, looks_like_control

_UNKNOWN = llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
_CONTROL = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL
_USER_DEFINED = llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
_LSTRIP = llama_cpp.LLAMA_TOKEN_ATTR_LSTRIP
_RSTRIP = llama_cpp.LLAMA_TOKEN_ATTR_RSTRIP


class Tokenizer:
    """The vocabulary of a loaded model.

    :param model: the model, kept alive.
    :raises ModelLoadError: for a file without a tokenizer.
    """

    def __init__(self, model: Any, pointer: Any) -> None:
        self._model = model
        self._vocab = llama_cpp.llama_model_get_vocab(pointer)
        self.size = int(llama_cpp.llama_vocab_n_tokens(self._vocab))
        if llama_cpp.llama_vocab_type(self._vocab) == llama_cpp.LLAMA_VOCAB_TYPE_NONE:
            raise ModelLoadError("the file has no tokenizer", hint="convert the model with it")
        bos = int(llama_cpp.llama_vocab_bos(self._vocab))
        self.bos: int | None = bos if bos >= 0 else None
        self.adds_bos = self.bos is not None and bool(
            llama_cpp.llama_vocab_get_add_bos(self._vocab)
        )
        eos = [t for t in range(self.size) if llama_cpp.llama_vocab_is_eog(self._vocab, t)]
        self.eos = tuple(eos)
        self.special_tokens, parsed_always = self._special()
        self._special_ids = {token.id for token in self.special_tokens}
        self._cutter = Cutter(parsed_always)
        self._surfaces: dict[int, bytes] = {}
        self._adds_blank = self._ids(["a"])[0] != continued("a", self._ids)

    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        """Token ids of each text, without BOS; see `autocog_core.hookspecs.tokenize`."""
        found = []
        for text in texts:
            parts = [text] if parse_special else self._cutter.cut(text)
            ids = self._part(parts[0], at_start, parse_special)
            for part in parts[1:]:
                ids += self._part(part, False, parse_special)
            found.append(ids)
        return found

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """The bytes of `tokens`; special tokens have none."""
        return b"".join([self._bytes_of(token) for token in tokens])

    def vocabulary(self) -> list[bytes]:
        """The bytes of all V tokens."""
        return [self._bytes_of(token) for token in range(self.size)]

    def text_of(self, token: int | None) -> str:
        """How a token is written in the vocabulary, special ones too."""
        if token is None:
            return ""
        text: bytes = llama_cpp.llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", errors="replace")

    def _special(self) -> tuple[tuple[SpecialToken, ...], list[str]]:
        """The special tokens, and the surfaces of those that llama.cpp parses in any text."""
        found = []
        parsed_always = []
        for token in range(self.size):
            marks = int(llama_cpp.llama_vocab_get_attr(self._vocab, token))
            if not marks & (_CONTROL | _UNKNOWN | _USER_DEFINED):
                continue
            text = self.text_of(token)
            if not marks & (_CONTROL | _UNKNOWN):
                if not looks_like_control(text):
                    continue
                parsed_always.append(text)
            found.append(SpecialToken(text, token, bool(marks & _LSTRIP), bool(marks & _RSTRIP)))
        return tuple(found), parsed_always

    def _part(self, text: str, at_start: bool, parse_special: bool) -> list[int]:
        if at_start or not self._adds_blank:
            return self._ids([text], parse_special)[0]
        return continued(text, lambda texts: self._ids(texts, parse_special))

    def _ids(self, texts: Sequence[str], parse_special: bool = False) -> list[list[int]]:
        return [self._ids_of(text.encode("utf-8"), parse_special) for text in texts]

    def _ids_of(self, raw: bytes, parse_special: bool) -> list[int]:
        size = len(raw) + 2
        while True:
            buffer = (llama_cpp.llama_token * size)()
            count = int(
                llama_cpp.llama_tokenize(
                    self._vocab, raw, len(raw), buffer, size, False, parse_special
                )
            )
            if count >= 0:
                return list(buffer[:count])
            # It did not fit: that many are needed.
            size = -count

    def _bytes_of(self, token: int) -> bytes:
        surface = self._surfaces.get(token)
        if surface is None:
            surface = self._surfaces[token] = self._compute_bytes(token)
        return surface

    def _compute_bytes(self, token: int) -> bytes:
        if token in self._special_ids:
            return b""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = int(llama_cpp.llama_token_to_piece(self._vocab, token, buffer, size, 0, False))
            if length >= 0:
                return buffer.raw[:length]
            size = -length
