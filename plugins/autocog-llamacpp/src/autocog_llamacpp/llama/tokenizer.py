"""llama.cpp's tokenizer, on bytes. It parses special tokens only on request."""

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
    decode_byte_alphabet,
    lazy,
    looks_like_control_token,
    respects_word_boundaries,
    shorten,
    tokenize_continuation,
)

_UNKNOWN = llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
_CONTROL = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL
_USER_DEFINED = llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
_LSTRIP = llama_cpp.LLAMA_TOKEN_ATTR_LSTRIP
_RSTRIP = llama_cpp.LLAMA_TOKEN_ATTR_RSTRIP

#: Longer texts are tokenized on a larger stack.
MAX_SMALL_STACK_BYTES = 1000
_PAGE_BYTES = 4096
_NEVER_MATCHES = "(?!)"
_stack_size_lock = threading.Lock()


class Tokenizer:
    """The tokenizer of a loaded model.

    :param model: the model, kept alive.
    :param pointer: llama.cpp's model.
    :param extension: the C++ extension, if it is in use.
    :ivar size: the size of the vocabulary.
    :ivar bos: the id of BOS, if the model has one.
    :ivar adds_bos: whether sequences start with BOS.
    :ivar eos: ids that end a sequence, first the file's EOS.
    :ivar special_tokens: tokens that have no bytes.
    :ivar restarts_after_special_tokens: see `BackendInfo`.
    :ivar token_bytes: the bytes of all tokens, in the extension; None without it.
    :raises ModelLoadError: if the file has no tokenizer, or the tokenizer has no token for a byte.
    """

    def __init__(self, model: Any, pointer: Any, extension: Any = None) -> None:
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
        # The other ones end a turn or a message.
        file_eos = int(llama_cpp.llama_vocab_eos(self._vocab))
        self.eos = tuple(sorted(ends, key=lambda token: token != file_eos))
        self._check_bytes()
        self._dropped_bytes = self._find_dropped_bytes()
        self.special_tokens, controls, words = self._special()
        self._special_ids = {token.id for token in self.special_tokens}
        self._unknown_ids = {
            token.id
            for token in self.special_tokens
            if int(llama_cpp.llama_vocab_get_attr(self._vocab, token.id)) & _UNKNOWN
        }
        self._control_splitter = SpecialTokenSplitter(controls)
        self._special_splitter = SpecialTokenSplitter(
            token.text for token in self.special_tokens if token.text
        )
        self._bytes: dict[int, bytes] = {}
        self.token_bytes = None
        if extension is not None:
            special = [token.id for token in self.special_tokens]
            address = ctypes.cast(self._vocab, ctypes.c_void_p).value
            self.token_bytes = extension.TokenBytes(address_of, address, self.size, special)
        self._adds_space = self._ids(["a"])[0] != tokenize_continuation("a", self._ids)
        self.restarts_after_special_tokens = self._find_restart()
        # llama.cpp would add a space after these words too.
        longest_first = sorted(words, key=len, reverse=True) if self._adds_space else []
        self._words = re.compile(f"({'|'.join(map(re.escape, longest_first)) or _NEVER_MATCHES})")

    @lazy
    def splits_at_word_boundaries(self) -> bool:
        """Whether no token spans a word boundary; False without the extension (slow to check)."""
        return self.token_bytes is not None and respects_word_boundaries(self.vocabulary())

    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        """Return the ids of each text, without BOS; see `autocog_core.hooks.specs.tokenize`.

        :raises InputError: for a character that llama.cpp would drop, or replace by `<unk>`.
        """
        for text in texts:
            self._require_tokens(text)
        if parse_special:
            return [self._tokenize_part(text, at_start, True) for text in texts]
        return [self._tokenize_plain(text, at_start) for text in texts]

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of `tokens`; special tokens have none."""
        return b"".join([self._bytes_of(token) for token in tokens])

    def vocabulary(self) -> list[bytes]:
        """Return the bytes of all V tokens."""
        if self.token_bytes is not None:
            return list(self.token_bytes.all())
        return [self._bytes_of(token) for token in range(self.size)]

    def text_of(self, token: int | None) -> str:
        """Return the text of a token in the vocabulary, also of a special one; "" for None."""
        if token is None:
            return ""
        text: bytes = llama_cpp.llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", errors="replace")

    def _find_restart(self) -> bool:
        """Return whether llama.cpp adds a space to text after a special token."""
        named = next((token for token in self.special_tokens if token.text), None)
        if not self._adds_space or named is None:
            return False
        first, after = self._ids(["a", f"{named.text}a"], parse_special=True)
        return after[-len(first) :] == first

    def _check_bytes(self) -> None:
        """Refuse a vocabulary that lacks a byte: llama.cpp would abort the process."""
        if llama_cpp.llama_vocab_type(self._vocab) != llama_cpp.LLAMA_VOCAB_TYPE_SPM:
            return
        texts = {llama_cpp.llama_vocab_get_text(self._vocab, t) for t in range(self.size)}
        for byte in range(256):
            if b"<0x%02X>" % byte not in texts and bytes([byte]) not in texts:
                raise ModelLoadError(
                    f"the SentencePiece vocabulary has no token for the byte 0x{byte:02X}",
                    where="tokenizer",
                    hint="convert the model again, with its byte tokens",
                )

    def _special(self) -> tuple[tuple[SpecialToken, ...], list[str], list[str]]:
        """Return the special tokens, and the user-defined tokens: control tokens and words.

        llama.cpp parses user-defined tokens in any text.
        """
        special = []
        controls = []
        words = []
        for token in range(self.size):
            attributes = int(llama_cpp.llama_vocab_get_attr(self._vocab, token))
            if not attributes & (_CONTROL | _UNKNOWN | _USER_DEFINED):
                continue
            text = self.text_of(token)
            if not attributes & (_CONTROL | _UNKNOWN):
                if not looks_like_control_token(text):
                    words.append(text)
                    continue
                controls.append(text)
            strips = bool(attributes & _LSTRIP), bool(attributes & _RSTRIP)
            special.append(SpecialToken(text, token, *strips))
        return tuple(special), controls, words

    def _find_dropped_bytes(self) -> re.Pattern[bytes] | None:
        """Return a pattern of the bytes for which a BPE vocabulary has no token; None if none.

        llama.cpp drops them, and tokenizes the text around them.
        """
        if llama_cpp.llama_vocab_type(self._vocab) != llama_cpp.LLAMA_VOCAB_TYPE_BPE:
            return None
        names = {llama_cpp.llama_vocab_get_text(self._vocab, t) for t in range(self.size)}
        # The letter that stands for a byte is one or two bytes long.
        letters = {decode_byte_alphabet(name.decode()) for name in names if len(name) <= 2}
        dropped = [
            byte
            for byte in range(256)
            if bytes([byte]) not in letters and b"<0x%02X>" % byte not in names
        ]
        return re.compile(b"[%s]" % re.escape(bytes(dropped))) if dropped else None

    def _require_tokens(self, text: str) -> None:
        """Refuse a text of which llama.cpp would tokenize only a part."""
        dropped = self._dropped_bytes
        if dropped is None or not dropped.search(text.encode("utf-8")):
            return
        raise _no_token_error(next(c for c in text if dropped.search(c.encode("utf-8"))))

    def _tokenize_plain(self, text: str, at_start: bool) -> list[int]:
        """Return the ids of a text without special tokens."""
        ids = self._tokenize_parts(self._control_splitter.split(text), at_start)
        if self._special_ids.isdisjoint(ids):
            return ids
        # Merges made a special token, for example of "</" and "s>".
        ids = self._tokenize_parts(self._special_splitter.split(text), at_start)
        if not self._unknown_ids.isdisjoint(ids):
            unknown = (c for c in text if not self._unknown_ids.isdisjoint(self._ids([c])[0]))
            raise _no_token_error(next(unknown, shorten(text, 40)))
        return ids

    def _tokenize_parts(self, texts: Sequence[str], at_start: bool) -> list[int]:
        parts = [part for text in texts for part in self._words.split(text) if part]
        return [
            token
            for index, part in enumerate(parts)
            for token in self._tokenize_part(part, at_start and index == 0, False)
        ]

    def _tokenize_part(self, text: str, at_start: bool, parse_special: bool) -> list[int]:
        if at_start or not self._adds_space:
            return self._ids([text], parse_special)[0]
        return tokenize_continuation(text, lambda texts: self._ids(texts, parse_special))

    def _ids(self, texts: Sequence[str], parse_special: bool = False) -> list[list[int]]:
        return [self._ids_of(text.encode("utf-8"), parse_special) for text in texts]

    def _ids_of(self, raw: bytes, parse_special: bool) -> list[int]:
        size = len(raw) + 2
        while True:
            buffer = (llama_cpp.llama_token * size)()
            count = _call_with_stack(
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
            # The buffer is too small: -count tokens are needed.
            size = -count

    def _bytes_of(self, token: int) -> bytes:
        raw = self._bytes.get(token)
        if raw is None:
            raw = self._bytes[token] = self._compute_bytes(token)
        return raw

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


def _no_token_error(text: str) -> InputError:
    return InputError(
        f"the model's tokenizer has no token for {text!r}",
        where="text",
        hint="remove it: the model would score another text. Or give the prompt's token ids",
    )


def address_of(name: str) -> int:
    """Return the address of a function in the loaded library of llama.cpp."""
    address = ctypes.cast(getattr(llama_cpp, name), ctypes.c_void_p).value
    assert address is not None
    return address


def _call_with_stack(length: int, call: Callable[[], int]) -> int:
    """Return the result of `call`, which tokenizes `length` bytes, on a sufficient stack.

    For many models, llama.cpp splits text with std::regex. It recurses once for every character of
    a run of letters, spaces or signs: 26,000 overflow a stack of 8 MB, which ends the process.

    :raises InputError: if there is no memory for the stack.
    """
    if length <= MAX_SMALL_STACK_BYTES:
        return call()
    # Measured: 320 bytes per character.
    pages = 256 + length // 4
    with ThreadPoolExecutor(1) as executor:
        with _stack_size_lock:
            before = threading.stack_size(pages * _PAGE_BYTES)
            try:
                future = executor.submit(call)
            except RuntimeError as error:
                raise InputError(
                    f"a text of {length} bytes is too long to be tokenized", hint="shorten it"
                ) from error
            finally:
                threading.stack_size(before)
        return future.result()
