"""Sets of tokens, as set algebra over the surfaces of tokens.

A set is data. The evaluation computes once which tokens of a model it has.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A set of tokens. `|`, `&`, `-` and `~` combine sets.

    :ivar digest: sha256 of its content. Sets are equal if their digests are: operands may be
        shared so often that a full comparison would never end.
    """

    digest: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        content: list[object] = [type(self).__name__]
        for attribute in fields(self):
            if attribute.name == "digest":
                continue
            value = getattr(self, attribute.name)
            if isinstance(value, Vocabulary):
                content.append(value.digest.hex())
            elif isinstance(value, str) and attribute.name == "pattern":
                content.append(value)
            else:
                value = (value,) if isinstance(value, str) else tuple(value)
                object.__setattr__(self, attribute.name, value)
                content.append(
                    [item.digest.hex() if isinstance(item, Vocabulary) else item for item in value]
                )
        digest = hashlib.sha256(json.dumps(content).encode("ascii")).digest()
        object.__setattr__(self, "digest", digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __or__(self, other: Vocabulary) -> Vocabulary:
        return Union((self, other))

    def __and__(self, other: Vocabulary) -> Vocabulary:
        return Intersect((self, other))

    def __sub__(self, other: Vocabulary) -> Vocabulary:
        return Difference(self, other)

    def __invert__(self) -> Vocabulary:
        return Complement(self)


@dataclass(frozen=True, eq=False)
class Tokens(Vocabulary):
    """The tokens that spell some strings as continuations of other text.

    :ivar strings: the strings.
    """

    strings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Strings(Vocabulary):
    """The tokens whose surface is one of some strings.

    :ivar strings: the strings.
    """

    strings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Regex(Vocabulary):
    """The tokens whose whole surface matches a pattern.

    :ivar pattern: a regular expression.
    """

    pattern: str


@dataclass(frozen=True, eq=False)
class Union(Vocabulary):
    """The tokens that are in any of several sets.

    :ivar operands: the sets.
    """

    operands: tuple[Vocabulary, ...]


@dataclass(frozen=True, eq=False)
class Intersect(Vocabulary):
    """The tokens that are in all of several sets.

    :ivar operands: the sets.
    """

    operands: tuple[Vocabulary, ...]


@dataclass(frozen=True, eq=False)
class Difference(Vocabulary):
    """The tokens that are in the first set but not in the second.

    :ivar first: the first set.
    :ivar second: the second set.
    """

    first: Vocabulary
    second: Vocabulary


@dataclass(frozen=True, eq=False)
class Complement(Vocabulary):
    """All tokens outside a set that have a surface, without special tokens.

    :ivar operand: the set.
    """

    operand: Vocabulary
