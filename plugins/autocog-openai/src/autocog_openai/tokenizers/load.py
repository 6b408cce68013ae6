"""Text to ids and back: by the server's own route, by tiktoken, or from a tokenizer file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from autocog_core import CapabilityError, ConfigError, InputError
from autocog_core.toolkit import shorten
from autocog_openai.connection.client import Connection
from autocog_openai.connection.server_capabilities import Facts
from autocog_openai.tokenizers.route_tokenizer import RouteTokenizer

#: What special tokens look like.
_MARK = re.compile(r"<[^<>\s]{1,80}>|\[[A-Z_/]{1,40}\]")


class Tokenizer(Protocol):
    """What turns text into ids, without any special token of its own accord."""

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """The ids of one text."""
        ...

    def surface(self, token: int) -> bytes:
        """The bytes of one token; special ones have none."""
        ...

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """The bytes of several tokens."""
        ...

    @property
    def size(self) -> int | None:
        """V, where it is known."""
        ...


def tokenizer_for(connection: Connection, facts: Facts) -> Tokenizer:
    """The tokenizer of a model: a file or name that was given, else the server's route.

    :raises ConfigError: where neither is there.
    """
    encoding = connection.options.tokenizer
    if encoding is not None:
        path = Path(encoding).expanduser()
        if path.exists():
            return FileTokenizer(path)
        return TiktokenTokenizer(encoding)
    if facts.tokenize:
        return RouteTokenizer(connection, facts)
    return TiktokenTokenizer.of_model(facts.model)


class TiktokenTokenizer:
    """One of tiktoken's encodings.

    :raises ConfigError: for an unknown name, or one that cannot be downloaded.
    """

    def __init__(self, name: str) -> None:
        import tiktoken

        if name not in tiktoken.list_encoding_names():
            raise ConfigError(
                f"{name!r} is no encoding of tiktoken, and no file",
                where="tokenizer",
                hint="one of " + ", ".join(sorted(tiktoken.list_encoding_names())),
            )
        try:
            self._encoding = tiktoken.get_encoding(name)
        except Exception as error:
            raise ConfigError(
                f"tiktoken downloads {name!r} when it is first used, and could not: {error}",
                where="tokenizer",
                hint="connect to the internet once, or set TIKTOKEN_CACHE_DIR to a folder with it",
            ) from error
        self.size = self._encoding.n_vocab
        self._special = frozenset(self._encoding._special_tokens.values())

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """The bytes of several tokens."""
        return b"".join(map(self.surface, tokens))

    @classmethod
    def of_model(cls, model: str) -> TiktokenTokenizer:
        """The encoding that tiktoken knows for a model."""
        import tiktoken

        try:
            name = tiktoken.encoding_name_for_model(model)
        except KeyError as error:
            raise ConfigError(
                f"tiktoken does not know which encoding {model!r} has, and the server does not "
                "tokenize",
                where="tokenizer",
                hint='give tokenizer = "o200k_base", or the path of a tokenizer.json',
            ) from error
        return cls(name)

    @property
    def special(self) -> dict[str, int]:
        """Special tokens by their texts."""
        return dict(self._encoding._special_tokens)

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """The ids of one text."""
        if parse_special:
            return self._encoding.encode(text, allowed_special="all")
        return self._encoding.encode(text, disallowed_special=())

    def surface(self, token: int) -> bytes:
        """The bytes of one token; special ones have none."""
        if token in self._special:
            return b""
        try:
            return self._encoding.decode_single_token_bytes(token)
        except KeyError:
            # Some ids stand for nothing.
            return b""


class FileTokenizer:
    """A tokenizer.json, read by the library `tokenizers`."""

    def __init__(self, path: Path) -> None:
        try:
            from tokenizers import Tokenizer as FastTokenizer
        except ImportError as error:
            raise ConfigError(
                "reading a tokenizer file needs the package tokenizers",
                where="tokenizer",
                hint='pip install "autocog-openai[tokenizers]"',
            ) from error
        file = path / "tokenizer.json" if path.is_dir() else path
        try:
            self._tokenizer: Any = FastTokenizer.from_file(str(file))
        except Exception as error:
            raise ConfigError(f"{file} is no tokenizer: {error}", where="tokenizer") from error
        self.size = int(self._tokenizer.get_vocab_size(with_added_tokens=True))
        added = self._tokenizer.get_added_tokens_decoder()
        self._special = {token for token, each in added.items() if each.special}
        self._surfaces: dict[int, bytes] = {}

    @property
    def bos(self) -> int | None:
        """What it puts before every text."""
        with_start = self._tokenizer.encode("a", add_special_tokens=True).ids
        return with_start[0] if with_start[:1] and with_start[0] in self._special else None

    @property
    def special(self) -> dict[str, int]:
        """Special tokens by their texts."""
        return {self._tokenizer.id_to_token(token): token for token in self._special}

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """The ids of one text."""
        self._tokenizer.encode_special_tokens = not parse_special
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """The bytes of several tokens."""
        return b"".join(map(self.surface, tokens))

    def surface(self, token: int) -> bytes:
        """The bytes of one token; special ones have none."""
        if token in self._special:
            return b""
        found = self._surfaces.get(token)
        if found is None:
            found = self._surfaces[token] = _bytes_of(self._tokenizer, token)
        return found


def continuing(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text in the middle of others, for tokenizers that put a blank before texts.

    :raises InputError: where the tokenizer lets nothing stand before it unchanged.
    """
    for anchor in ("\n", "\x01", "."):
        before = tokenizer.tokenize(anchor, parse_special=False)
        whole = tokenizer.tokenize(anchor + text, parse_special=False)
        if whole[: len(before)] == before:
            return whole[len(before) :]
    raise InputError("its tokens depend on what is before it", where=repr(shorten(text, 40)))


def _bytes_of(tokenizer: Any, token: int) -> bytes:
    """The bytes of one token: those of a byte-level piece, or of its text."""
    piece = tokenizer.id_to_token(token)
    if piece is None:
        raise CapabilityError(f"token {token} is not in the tokenizer file", where="tokenizer")
    if piece.startswith("<0x") and piece.endswith(">") and len(piece) == 6:
        return bytes([int(piece[3:5], 16)])
    if "ByteLevel" in str(type(tokenizer.decoder)) or "ByteLevel" in repr(tokenizer.decoder):
        return (
            bytes(_BYTES[letter] for letter in piece)
            if set(piece) <= _BYTES.keys()
            else (piece.encode("utf-8"))
        )
    return str(piece).replace("\u2581", " ").encode("utf-8")


def _byte_letters() -> dict[str, int]:
    """The letters by which byte-level tokenizers write bytes: those that print, as they are."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    found = {chr(byte): byte for byte in plain}
    return found | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTES = _byte_letters()
