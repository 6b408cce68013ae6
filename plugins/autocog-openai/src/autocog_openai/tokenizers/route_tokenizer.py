"""A tokenizer that uses a server's routes, and caches the answers."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from autocog_core import EngineError
from autocog_core.toolkit import lazy
from autocog_openai.connection.answer_fields import FieldError, as_text, as_token_id, reading
from autocog_openai.connection.errors import MalformedAnswerError
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.servers.dialect import ServerDialect

#: The usual forms of special tokens.
_SPECIAL_TOKEN = re.compile(r"<[^<>\s]{1,80}>|\[[A-Z_/]{1,40}\]")
#: The text that servers return for incomplete characters.
_REPLACEMENT = "\ufffd"
#: Maximum number of cached texts.
CACHE_SIZE = 50_000
#: Longer texts are not cached: choices are repeated, prompts are not.
MAX_CACHED_TEXT = 512


class RouteTokenizer:
    """The tokenizer routes of a server."""

    def __init__(self, dialect: ServerDialect, capabilities: ServerCapabilities) -> None:
        self._dialect = dialect
        self._where = dialect.connection.where
        self._size = capabilities.vocabulary_size
        self._vocabulary = capabilities.vocabulary
        self._special = {token for _, token in capabilities.special_token_ids}
        self._ids: dict[tuple[str, bool], tuple[int, ...]] = {}
        self._texts: dict[tuple[int, ...], str] = {}
        self._bytes: dict[int, bytes] = {}
        #: For each token of a text with non-ASCII characters: the ids of the shortest such text.
        self._contexts: dict[int, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    @property
    def size(self) -> int | None:
        """The vocabulary size, if the server reports it."""
        return self._size

    @lazy
    def shared_bytes(self) -> frozenset[bytes]:
        """Bytes that several tokens have, if the server reports its vocabulary."""
        counts = Counter(self._vocabulary or ())
        return frozenset(
            text.encode("latin-1") for text, count in counts.items() if text and count > 1
        )

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """Return the ids of a text."""
        key = (text, parse_special)
        with self._lock:
            ids = self._ids.get(key)
        if ids is None:
            ids = self._request_ids(text, parse_special)
            if not parse_special and not self._dialect.can_ignore_special_tokens:
                ids = self._unparse_special(text, ids)
            if len(text) <= MAX_CACHED_TEXT:
                self._cache(key, ids)
        return list(ids)

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of a token; special tokens have none."""
        if self._vocabulary is not None:
            return self._vocabulary[token].encode("latin-1")
        raw = self._bytes.get(token)
        if raw is None:
            text = "" if token in self._special else self._request_text((token,))
            raw = text.encode("utf-8")
            if _REPLACEMENT in text:
                partial = self._partial_character_bytes(token)
                if partial is None:
                    return raw
                raw = partial
            self._bytes[token] = raw
        return raw

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of several tokens."""
        if self._vocabulary is not None or len(tokens) < 2:
            return b"".join(map(self.token_bytes, tokens))
        # All at once: an incomplete character has no text of its own.
        ordinary = tuple(token for token in tokens if token not in self._special)
        return self._request_text(ordinary).encode("utf-8")

    def _cache(self, key: tuple[str, bool], ids: tuple[int, ...]) -> None:
        text = key[0]
        with self._lock:
            if len(self._ids) >= CACHE_SIZE:
                self._ids.clear()
                self._contexts.clear()
            self._ids[key] = ids
            # If the text contains U+FFFD, it cannot mark incomplete characters.
            if not text.isascii() and _REPLACEMENT not in text:
                for token in ids:
                    if len(self._contexts.get(token, ids)) >= len(ids):
                        self._contexts[token] = ids

    def _request_ids(self, text: str, parse_special: bool) -> tuple[int, ...]:
        with reading(self._where):
            ids = self._dialect.tokenize(text, parse_special=parse_special)
            ids = [as_token_id(token, "token id") for token in ids]
            if ids and self._size is not None and max(ids) >= self._size:
                raise FieldError(f"token {max(ids)} is outside of the vocabulary")
            return tuple(ids)

    def _request_text(self, tokens: tuple[int, ...]) -> str:
        text = self._texts.get(tokens)
        if text is None:
            try:
                with reading(self._where):
                    text = as_text(self._dialect.detokenize(tokens), "text")
            except MalformedAnswerError:
                raise
            except EngineError as error:
                if not error.message.startswith("500") and "decode" not in error.message:
                    raise
                # Some servers fail on incomplete characters. Others return U+FFFD.
                text = _REPLACEMENT
            if len(self._texts) >= CACHE_SIZE:
                self._texts.clear()
            if len(tokens) <= MAX_CACHED_TEXT:
                self._texts[tokens] = text
        return text

    def _partial_character_bytes(self, token: int) -> bytes | None:
        """Return the byte of a token that is part of a character, from a text that contains it.

        None if there is no such text yet, or if the token may have several bytes.
        """
        group: tuple[int, ...] = ()
        for context_token in self._contexts.get(token, ()):
            group = (*group, context_token)
            text = self._request_text(group)
            if _REPLACEMENT in text:
                continue
            raw = text.encode("utf-8")
            if token in group and len(raw) == len(group):
                index = group.index(token)
                return raw[index : index + 1]
            group = ()
        return None

    def _unparse_special(self, text: str, ids: tuple[int, ...]) -> tuple[int, ...]:
        """Return ids in which special tokens in the text stay text.

        The route parses special tokens in any text. What may be one is tokenized in two parts.
        """
        matches = list(_SPECIAL_TOKEN.finditer(text))
        if not matches or not any(map(self._may_be_special, ids)):
            return ids
        cuts = [0, *(match.start() + 1 for match in matches), len(text)]
        parts = [text[start:end] for start, end in pairwise(cuts) if start < end]
        return tuple(token for part in parts for token in self._request_ids(part, False))

    def _may_be_special(self, token: int) -> bool:
        text = self._request_text((token,))
        return not text or _SPECIAL_TOKEN.fullmatch(text) is not None
