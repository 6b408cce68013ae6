"""Masks: which tokens of a model a token set contains."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary, proxy

import numpy as np
from numpy.typing import NDArray

from autocog_core.automaton.token_sets import (
    Complement,
    Difference,
    Intersect,
    Regex,
    Strings,
    Tokens,
    Union,
    Vocabulary,
)
from autocog_core.constraints.tokenizers import make_tokenizer
from autocog_core.errors import InputError
from autocog_core.hooks.client import BackendClient

if TYPE_CHECKING:
    from llguidance import LLTokenizer

Mask = NDArray[np.bool_]
Value = TypeVar("Value")

#: Maximum time for matching one pattern with all tokens.
MATCH_TIMEOUT_SECONDS = 10.0

#: Maximum number of masks, and of other values, in a model's cache.
MAX_CACHED_MASKS = 256
#: Maximum number of characters of the constraints in it: each takes about 50 bytes.
MAX_CACHED_CHARACTERS = 4_000_000


class TokenMaskCache:
    """Masks of one model, bool (V,), cached by the content of the token set.

    :param client: the model's client.
    """

    _by_client: ClassVar[WeakKeyDictionary[BackendClient, TokenMaskCache]] = WeakKeyDictionary()

    def __init__(self, client: BackendClient) -> None:
        self._client = proxy(client)
        self._masks: dict[Vocabulary, Mask] = {}
        self._values: dict[Hashable, Any] = {}
        self._characters = 0
        self._token_bytes: Sequence[bytes] | None = None
        self._tokenizer: LLTokenizer | None = None

    @classmethod
    def for_model(cls, client: BackendClient) -> TokenMaskCache:
        """Return the cache of a model, which all its runs share."""
        return cls._by_client.setdefault(client, cls(client))

    def mask_for(self, vocabulary: Vocabulary) -> Mask:
        """Return the read-only mask of a token set: bool (V,).

        :param vocabulary: the token set.
        :raises InputError: for an invalid pattern, or one that takes too long to match.
        """
        if len(self._masks) > MAX_CACHED_MASKS:
            self._masks.clear()
        # Operands first, without recursion: program files may nest sets deeply.
        stack = [vocabulary]
        while stack:
            current = stack[-1]
            if current in self._masks:
                stack.pop()
                continue
            missing = [operand for operand in _operands(current) if operand not in self._masks]
            if missing:
                stack += missing
                continue
            mask = self._compute(current)
            mask.setflags(write=False)
            self._masks[current] = mask
        return self._masks[vocabulary]

    def tokenizer(self) -> LLTokenizer:
        """Return the model's vocabulary for constraints, made once."""
        if self._tokenizer is None:
            self._tokenizer = make_tokenizer(self._vocabulary())
        return self._tokenizer

    def get_or_make(
        self, key: Hashable, make: Callable[[], Value], *, characters: int = 0
    ) -> Value:
        """Return a cached value that depends on masks, or make it.

        :param key: everything that the value depends on, except the model.
        :param make: computes the value.
        :param characters: the length of the constraint that it is made of.
        """
        value: Value | None = self._values.get(key)
        if value is None:
            value = make()
            self._characters += characters
            if len(self._values) >= MAX_CACHED_MASKS or self._characters > MAX_CACHED_CHARACTERS:
                self._values.clear()
                self._characters = characters
            self._values[key] = value
        return value

    def _compute(self, vocabulary: Vocabulary) -> Mask:
        """Return the mask of a token set whose operands have masks."""
        match vocabulary:
            case Tokens(strings):
                ids = self._client.tokenize(list(strings), at_start=False)
                return self._mask(token for tokens in ids for token in tokens)
            case Strings(strings):
                members = {string.encode("utf-8") for string in strings}
                return self._mask(i for i, raw in enumerate(self._vocabulary()) if raw in members)
            case Regex(pattern):
                texts = ((i, _decode(raw)) for i, raw in enumerate(self._vocabulary()) if raw)
                return self._mask(_match_tokens(pattern, texts))
            case Union(operands):
                union = np.zeros(self._client.info.vocabulary_size, dtype=np.bool_)
                for operand in operands:
                    union |= self._masks[operand]
                return union
            case Intersect(operands):
                intersection = np.ones(self._client.info.vocabulary_size, dtype=np.bool_)
                for operand in operands:
                    intersection &= self._masks[operand]
                return intersection
            case Difference(first, second):
                return self._masks[first] & ~self._masks[second]
            case Complement(operand):
                with_text = self._mask(i for i, raw in enumerate(self._vocabulary()) if raw)
                return with_text & ~self._masks[operand]
        raise TypeError(f"no set of tokens: {vocabulary!r}")

    def _mask(self, tokens: Iterable[int]) -> Mask:
        mask = np.zeros(self._client.info.vocabulary_size, dtype=np.bool_)
        mask[list(tokens)] = True
        return mask

    def _vocabulary(self) -> Sequence[bytes]:
        if self._token_bytes is None:
            self._token_bytes = self._client.vocabulary()
        return self._token_bytes


def _operands(vocabulary: Vocabulary) -> tuple[Vocabulary, ...]:
    match vocabulary:
        case Union(operands) | Intersect(operands):
            return operands
        case Difference(first, second):
            return (first, second)
        case Complement(operand):
            return (operand,)
    return ()


def _match_tokens(pattern: str, texts: Iterable[tuple[int, str | None]]) -> list[int]:
    """Return the tokens whose whole text matches a pattern.

    Untrusted patterns may take forever on one short text. `regex` has a timeout; `re` has none.
    """
    import regex

    deadline = time.monotonic() + MATCH_TIMEOUT_SECONDS
    try:
        compiled = regex.compile(pattern, regex.DOTALL)
        return [
            token
            for token, text in texts
            if text is not None
            and compiled.fullmatch(text, timeout=max(1e-3, deadline - time.monotonic()))
        ]
    except regex.error as error:
        raise InputError(f"{pattern!r} is no regular expression: {error}", where="vocab") from error
    except (TimeoutError, RecursionError, MemoryError, OverflowError) as error:
        raise InputError(
            f"{pattern!r} takes too long to match",
            where="vocab",
            hint="do not repeat what repeats already",
        ) from error


def _decode(raw: bytes) -> str | None:
    """Return bytes as text; None for a part of a character."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
