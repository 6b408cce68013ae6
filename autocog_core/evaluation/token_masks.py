"""Which tokens of a model a token set holds: masks, kept by content."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar
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
from autocog_core.errors import InputError
from autocog_core.hooks.client import BackendClient

Mask = NDArray[np.bool_]


Made = TypeVar("Made")


#: Seconds in which one pattern must have been held against all tokens.
MATCHING_SECONDS = 10.0


#: Masks that a model keeps between runs.
KEPT_MASKS = 256


class TokenMaskCache:
    """Masks of one model, bool (V,), kept by the content of the set."""

    _of_callers: ClassVar[WeakKeyDictionary[BackendClient, TokenMaskCache]] = WeakKeyDictionary()

    def __init__(self, client: BackendClient) -> None:
        self._client = proxy(client)
        self._known: dict[Vocabulary, Mask] = {}
        self._remembered: dict[Hashable, Any] = {}
        self._surfaces: Sequence[bytes] | None = None

    @classmethod
    def of_model(cls, client: BackendClient) -> TokenMaskCache:
        """Those of a model, kept from run to run."""
        return cls._of_callers.setdefault(client, cls(client))

    def of(self, vocabulary: Vocabulary) -> Mask:
        """The tokens in a set; not to be written to.

        :raises InputError: for a pattern that is no regular expression.
        """
        if len(self._known) > KEPT_MASKS:
            self._known.clear()
        # Operands first, without recursion: a file may nest them deeply.
        stack = [vocabulary]
        while stack:
            current = stack[-1]
            if current in self._known:
                stack.pop()
                continue
            missing = [one for one in _operands(current) if one not in self._known]
            if missing:
                stack += missing
                continue
            mask = self._compute(current)
            mask.setflags(write=False)
            self._known[current] = mask
            stack.pop()
        return self._known[vocabulary]

    def remembered(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What was made of masks before, by what it depends on."""
        found: Made | None = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= KEPT_MASKS:
                self._remembered.clear()
            found = self._remembered[key] = make()
        return found

    def _compute(self, vocabulary: Vocabulary) -> Mask:
        match vocabulary:
            case Tokens(strings):
                ids = self._client.tokenize(list(strings), at_start=False)
                return self._mask(token for tokens in ids for token in tokens)
            case Strings(strings):
                wanted = {string.encode("utf-8") for string in strings}
                return self._mask(t for t, s in enumerate(self._all()) if s in wanted)
            case Regex(pattern):
                texts = ((t, _text(s)) for t, s in enumerate(self._all()) if s)
                return self._mask(_matching(pattern, texts))
            case Union(operands):
                found = np.zeros(self._client.info.vocabulary_size, dtype=np.bool_)
                for one in operands:
                    found |= self._known[one]
                return found
            case Intersect(operands):
                found = np.ones(self._client.info.vocabulary_size, dtype=np.bool_)
                for one in operands:
                    found &= self._known[one]
                return found
            case Difference(first, second):
                return self._known[first] & ~self._known[second]
            case Complement(operand):
                return self._mask(t for t, s in enumerate(self._all()) if s) & ~self._known[operand]
        raise TypeError(f"no set of tokens: {vocabulary!r}")

    def _mask(self, tokens: Iterable[int]) -> Mask:
        mask = np.zeros(self._client.info.vocabulary_size, dtype=np.bool_)
        mask[list(tokens)] = True
        return mask

    def _all(self) -> Sequence[bytes]:
        if self._surfaces is None:
            self._surfaces = self._client.vocabulary()
        return self._surfaces


def _operands(vocabulary: Vocabulary) -> tuple[Vocabulary, ...]:
    match vocabulary:
        case Union(operands) | Intersect(operands):
            return operands
        case Difference(first, second):
            return (first, second)
        case Complement(operand):
            return (operand,)
    return ()


def _matching(pattern: str, texts: Iterable[tuple[int, str | None]]) -> list[int]:
    """The tokens whose whole text matches.

    Patterns may come from strangers, and some take forever on one short text: `regex` stops then.
    """
    import regex

    deadline = time.monotonic() + MATCHING_SECONDS
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


def _text(surface: bytes) -> str | None:
    """A surface as text; None for part of a character."""
    try:
        return surface.decode("utf-8")
    except UnicodeDecodeError:
        return None
