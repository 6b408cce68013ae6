"""llama.cpp's tokenizer as autocog needs it: on bytes, special tokens only where asked for."""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import llama_cpp

from autocog_core import InputError, ModelLoadError, SpecialToken
from autocog_core.toolkit import (
    SpecialTokenSplitter,
    lazy,
    looks_like_control_token,
    respects_word_boundaries,
    tokenize_continuation,
)

_UNKNOWN = llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
_CONTROL = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL
_USER_DEFINED = llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
_LSTRIP = llama_cpp.LLAMA_TOKEN_ATTR_LSTRIP
_RSTRIP = llama_cpp.LLAMA_TOKEN_ATTR_RSTRIP

#: Texts of more bytes than this are tokenized on a stack that is large enough for them.
SHORT = 1000
_PAGE = 4096
_stack_size_lock = threading.Lock()


class Tokenizer:
    """The vocabulary of a loaded model.

    :param model: the model, kept alive.
    :param native: the extension in C++, if it is in use.
    :ivar pieces: the extension's own account of the tokens' bytes.
    :raises ModelLoadError: for a file without a tokenizer, or whose tokenizer lacks a byte.
    """

    def __init__(self, model: Any, pointer: Any, native: Any = None) -> None:
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
        ends = [t for t in range(self.size) if llama_cpp.llama_vocab_is_eog(self._vocab, t)]
        # The file's own first: others end a turn or a message.
        own = int(llama_cpp.llama_vocab_eos(self._vocab))
        self.eos = tuple(sorted(ends, key=lambda token: token != own))
        self._refuse_missing_bytes()
        self.special_tokens, controls, words = self._special()
        self._special_ids = {token.id for token in self.special_tokens}
        self._cut_controls = SpecialTokenSplitter(controls)
        self._cut_specials = SpecialTokenSplitter(
            token.text for token in self.special_tokens if token.text
        )
        self._surfaces: dict[int, bytes] = {}
        self.pieces = None
        if native is not None:
            special = [token.id for token in self.special_tokens]
            address = ctypes.cast(self._vocab, ctypes.c_void_p).value
            self.pieces = native.Pieces(address_of, address, self.size, special)
        self._adds_blank = self._ids(["a"])[0] != tokenize_continuation("a", self._ids)
        # After these words llama.cpp would add a blank as well.
        longest_first = sorted(words, key=len, reverse=True) if self._adds_blank else []
        never = "(?!)"
        self._words = re.compile(f"({'|'.join(map(re.escape, longest_first)) or never})")

    @lazy
    def splits_at_word_boundaries(self) -> bool:
        """Whether no token spans a border; said only where that is found out in no time."""
        return self.pieces is not None and respects_word_boundaries(self.vocabulary())

    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        """Token ids of each text, without BOS; see `autocog_core.hooks.specs.tokenize`."""
        if parse_special:
            return [self._part(text, at_start, True) for text in texts]
        return [self._untrusted(text, at_start) for text in texts]

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """The bytes of `tokens`; special tokens have none."""
        return b"".join([self._bytes_of(token) for token in tokens])

    def vocabulary(self) -> list[bytes]:
        """The bytes of all V tokens."""
        if self.pieces is not None:
            return list(self.pieces.all())
        return [self._bytes_of(token) for token in range(self.size)]

    def text_of(self, token: int | None) -> str:
        """How a token is written in the vocabulary, special ones too."""
        if token is None:
            return ""
        text: bytes = llama_cpp.llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", errors="replace")

    def _refuse_missing_bytes(self) -> None:
        """Refuse a vocabulary that cannot spell every text: llama.cpp would end the process."""
        if llama_cpp.llama_vocab_type(self._vocab) != llama_cpp.LLAMA_VOCAB_TYPE_SPM:
            return
        texts = {llama_cpp.llama_vocab_get_text(self._vocab, t) for t in range(self.size)}
        for byte in range(256):
            if b"<0x%02X>" % byte not in texts and bytes([byte]) not in texts:
                raise ModelLoadError(
                    f"its SentencePiece vocabulary has no token for the byte 0x{byte:02X}",
                    where="tokenizer",
                    hint="convert the model again, with its byte tokens",
                )

    def _special(self) -> tuple[tuple[SpecialToken, ...], list[str], list[str]]:
        """The special tokens; and of those parsed in any text, the controls and the words."""
        found = []
        controls = []
        words = []
        for token in range(self.size):
            marks = int(llama_cpp.llama_vocab_get_attr(self._vocab, token))
            if not marks & (_CONTROL | _UNKNOWN | _USER_DEFINED):
                continue
            text = self.text_of(token)
            if not marks & (_CONTROL | _UNKNOWN):
                if not looks_like_control_token(text):
                    words.append(text)
                    continue
                controls.append(text)
            found.append(SpecialToken(text, token, bool(marks & _LSTRIP), bool(marks & _RSTRIP)))
        return tuple(found), controls, words

    def _untrusted(self, text: str, at_start: bool) -> list[int]:
        ids = self._joined(self._cut_controls.split(text), at_start)
        if self._special_ids.isdisjoint(ids):
            return ids
        # Merges spelled one: "</" and "s>".
        return self._joined(self._cut_specials.split(text), at_start)

    def _joined(self, texts: Sequence[str], at_start: bool) -> list[int]:
        """Ids of the parts of one text."""
        parts = [part for text in texts for part in self._words.split(text) if part]
        return [
            token
            for number, part in enumerate(parts)
            for token in self._part(part, at_start and number == 0, False)
        ]

    def _part(self, text: str, at_start: bool, parse_special: bool) -> list[int]:
        if at_start or not self._adds_blank:
            return self._ids([text], parse_special)[0]
        return tokenize_continuation(text, lambda texts: self._ids(texts, parse_special))

    def _ids(self, texts: Sequence[str], parse_special: bool = False) -> list[list[int]]:
        return [self._ids_of(text.encode("utf-8"), parse_special) for text in texts]

    def _ids_of(self, raw: bytes, parse_special: bool) -> list[int]:
        size = len(raw) + 2
        while True:
            buffer = (llama_cpp.llama_token * size)()
            count = _on_large_stack(
                len(raw),
                partial(
                    llama_cpp.llama_tokenize,
                    self._vocab,
                    raw,
                    len(raw),
                    buffer,
                    size,
                    False,
                    parse_special,
                ),
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


def address_of(name: str) -> int:
    """Where the loaded library has a function."""
    found = ctypes.cast(getattr(llama_cpp, name), ctypes.c_void_p).value
    assert found is not None
    return found


def _on_large_stack(length: int, call: Callable[[], int]) -> int:
    """The result of `call`, which tokenizes `length` bytes.

    For many models llama.cpp splits text with std::regex, which recurses once for every character
    of a run of letters, blanks or signs: some 26,000 overflow a stack of 8 MB, and end the process.

    :raises InputError: if there is no room for such a stack.
    """
    if length <= SHORT:
        return call()
    # 320 bytes for a character were measured.
    pages = 256 + length // 4
    with ThreadPoolExecutor(1) as executor:
        with _stack_size_lock:
            before = threading.stack_size(pages * _PAGE)
            try:
                future = executor.submit(call)
            except RuntimeError as error:
                raise InputError(
                    f"a text of {length} bytes is too long to be tokenized", hint="shorten it"
                ) from error
            finally:
                threading.stack_size(before)
        return future.result()
