"""Tokenizers: the server's own route, tiktoken, or a tokenizer file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from autocog_core import AutocogError, ConfigError, InputError
from autocog_core.toolkit import TextTokenizer, lazy, shorten
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.servers.dialect import ServerDialect
from autocog_openai.tokenizers.route_tokenizer import RouteTokenizer


class Tokenizer(Protocol):
    """Turns text into ids and back. It adds no special tokens."""

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """Return the ids of a text."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of a token; special tokens have none."""
        ...

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of several tokens."""
        ...

    @property
    def size(self) -> int | None:
        """The vocabulary size, if it is known."""
        ...

    @property
    def shared_bytes(self) -> frozenset[bytes]:
        """Bytes that several tokens have, as far as they are known."""
        ...


def create_tokenizer(dialect: ServerDialect, capabilities: ServerCapabilities) -> Tokenizer:
    """Return the tokenizer of a model: that of the option `tokenizer`, else the server's.

    :raises ConfigError: if there is neither, and tiktoken does not know the model.
    """
    name = dialect.connection.options.tokenizer
    if name is not None:
        # Of a file, the options have the path of one that exists.
        return FileTokenizer(Path(name)) if os.path.exists(name) else TiktokenTokenizer(name)
    if capabilities.tokenizer_route:
        return RouteTokenizer(dialect, capabilities)
    return TiktokenTokenizer.of_model(capabilities.model)


class TiktokenTokenizer:
    """One of tiktoken's encodings.

    :raises ConfigError: if the name is unknown, or the encoding cannot be downloaded.
    """

    def __init__(self, name: str) -> None:
        import tiktoken

        if name not in tiktoken.list_encoding_names():
            raise ConfigError(
                f"{name!r} is neither an encoding of tiktoken nor a file",
                where="tokenizer",
                hint="encodings: " + ", ".join(sorted(tiktoken.list_encoding_names())),
            )
        try:
            self._encoding = tiktoken.get_encoding(name)
        except Exception as error:
            raise ConfigError(
                f"tiktoken cannot download {name!r}: {error}",
                where="tokenizer",
                hint="connect to the internet once, or set TIKTOKEN_CACHE_DIR to a folder with it",
            ) from error
        self.size = self._encoding.n_vocab
        # An encoding is a table by bytes.
        self.shared_bytes: frozenset[bytes] = frozenset()
        self._special = frozenset(self._encoding._special_tokens.values())

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of several tokens."""
        return b"".join(map(self.token_bytes, tokens))

    @classmethod
    def of_model(cls, model: str) -> TiktokenTokenizer:
        """Return tiktoken's encoding for a model.

        :raises ConfigError: if tiktoken does not know the model.
        """
        import tiktoken

        try:
            name = tiktoken.encoding_name_for_model(model)
        except KeyError as error:
            raise ConfigError(
                f"tiktoken does not know the encoding of {model!r}, and the server has no "
                "tokenizer route",
                where="tokenizer",
                hint='give tokenizer = "o200k_base", or the path of a tokenizer.json',
            ) from error
        return cls(name)

    @property
    def special(self) -> dict[str, int]:
        """Ids of special tokens, by their texts."""
        return dict(self._encoding._special_tokens)

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """Return the ids of a text."""
        if parse_special:
            return self._encoding.encode(text, allowed_special="all")
        return self._encoding.encode(text, disallowed_special=())

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of a token; special tokens have none."""
        if token in self._special:
            return b""
        try:
            return self._encoding.decode_single_token_bytes(token)
        except KeyError:
            # Some ids are unused.
            return b""


class FileTokenizer:
    """A `tokenizer.json`, read by the library `tokenizers`.

    :param path: the file or its folder.
    :raises ConfigError: if the library is not installed, or the file is not a tokenizer.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._text = TextTokenizer.from_folder(path, changes_text=True)
        except AutocogError as error:
            raise ConfigError(
                f"{error.where}: {error.message}", where="tokenizer", hint=error.hint
            ) from error
        self.size = self._text.size

    @property
    def bos(self) -> int | None:
        """The token that the tokenizer puts before every text, if there is one."""
        return self._text.bos if self._text.adds_bos else None

    @lazy
    def shared_bytes(self) -> frozenset[bytes]:
        """Bytes that several tokens have, such as "A" and "<0x41>"."""
        return find_shared(self._text.vocabulary())

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """Return the ids of a text."""
        return self._text.tokenize([text], True, parse_special)[0]

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of several tokens."""
        return self._text.detokenize(tokens)

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of a token; special tokens have none."""
        return self._text.detokenize([token])


def tokenize_if_possible(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the ids of a text that no user wrote; none if the tokenizer lacks tokens for it."""
    try:
        return tokenizer.tokenize(text, parse_special=False)
    except InputError:
        return []


def find_shared(raws: Iterable[bytes]) -> frozenset[bytes]:
    """Return what is not empty and there more than once."""
    return frozenset(raw for raw, count in Counter(raws).items() if raw and count > 1)


def tokenize_continuation(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the ids of a text that continues another one.

    For tokenizers that put a space before every text.

    :raises InputError: if the tokens depend on the text before.
    """
    for anchor in ("\n", "\x01", "."):
        anchor_ids = tokenizer.tokenize(anchor, parse_special=False)
        ids = tokenizer.tokenize(anchor + text, parse_special=False)
        if ids[: len(anchor_ids)] == anchor_ids:
            return ids[len(anchor_ids) :]
    raise InputError("the tokens depend on the text before", where=repr(shorten(text, 40)))
