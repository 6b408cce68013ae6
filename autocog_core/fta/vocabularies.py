"""Sets of tokens, written as algebra over their surfaces, and the masks that they come to.

A set is data; which tokens of a model it holds is worked out once, and kept by content.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autocog_core.caller import Caller
from autocog_core.errors import InputError

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Vocabulary:
    """A set of tokens. `|`, `&`, `-` and `~` combine sets."""

    def __or__(self, other: Vocabulary) -> Vocabulary:
        return Union((self, other))

    def __and__(self, other: Vocabulary) -> Vocabulary:
        return Intersect((self, other))

    def __sub__(self, other: Vocabulary) -> Vocabulary:
        return Difference(self, other)

    def __invert__(self) -> Vocabulary:
        return Complement(self)


@dataclass(frozen=True)
class Tokens(Vocabulary):
    """The tokens that spell these strings, each as a continuation of other text."""

    strings: tuple[str, ...]


@dataclass(frozen=True)
class Strings(Vocabulary):
    """The tokens whose surface is one of these strings."""

    strings: tuple[str, ...]


@dataclass(frozen=True)
class Regex(Vocabulary):
    """The tokens whose whole surface matches."""

    pattern: str


@dataclass(frozen=True)
class Union(Vocabulary):
    """What is in any of the sets."""

    operands: tuple[Vocabulary, ...]


@dataclass(frozen=True)
class Intersect(Vocabulary):
    """What is in all of the sets."""

    operands: tuple[Vocabulary, ...]


@dataclass(frozen=True)
class Difference(Vocabulary):
    """What is in the first set and not in the second."""

    first: Vocabulary
    second: Vocabulary


@dataclass(frozen=True)
class Complement(Vocabulary):
    """All other tokens with a surface: special ones are never among them."""

    operand: Vocabulary


class Masks:
    """Masks of one model, bool (V,), kept by the content of the set."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._known: dict[Vocabulary, Mask] = {}
        self._surfaces: Sequence[bytes] | None = None

    def of(self, vocabulary: Vocabulary) -> Mask:
        """The tokens in a set; not to be written to.

        :raises InputError: for a pattern that is no regular expression.
        """
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

    def _compute(self, vocabulary: Vocabulary) -> Mask:
        match vocabulary:
            case Tokens(strings):
                ids = self._caller.tokenize(list(strings), at_start=False)
                return self._mask(token for tokens in ids for token in tokens)
            case Strings(strings):
                wanted = {string.encode("utf-8") for string in strings}
                return self._mask(t for t, s in enumerate(self._all()) if s in wanted)
            case Regex(pattern):
                matches = _compiled(pattern).fullmatch
                texts = ((t, _text(s)) for t, s in enumerate(self._all()) if s)
                return self._mask(t for t, s in texts if s is not None and matches(s))
            case Union(operands):
                found = np.zeros(self._caller.info.vocabulary_size, dtype=np.bool_)
                for one in operands:
                    found |= self._known[one]
                return found
            case Intersect(operands):
                found = np.ones(self._caller.info.vocabulary_size, dtype=np.bool_)
                for one in operands:
                    found &= self._known[one]
                return found
            case Difference(first, second):
                return self._known[first] & ~self._known[second]
            case Complement(operand):
                return self._mask(t for t, s in enumerate(self._all()) if s) & ~self._known[operand]
        raise TypeError(f"no set of tokens: {vocabulary!r}")

    def _mask(self, tokens: Iterable[int]) -> Mask:
        mask = np.zeros(self._caller.info.vocabulary_size, dtype=np.bool_)
        mask[list(tokens)] = True
        return mask

    def _all(self) -> Sequence[bytes]:
        if self._surfaces is None:
            self._surfaces = self._caller.vocabulary()
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


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error as error:
        raise InputError(f"{pattern!r} is no regular expression: {error}", where="vocab") from error


def _text(surface: bytes) -> str | None:
    """A surface as text; None for part of a character."""
    try:
        return surface.decode("utf-8")
    except UnicodeDecodeError:
        return None
