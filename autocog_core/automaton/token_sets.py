"""Sets of tokens, written as algebra over their surfaces, and the masks that they come to.

A set is data; which tokens of a model it holds is worked out once, and kept by content.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A set of tokens. `|`, `&`, `-` and `~` combine sets.

    :ivar digest: of its content, by which sets are equal: operands may be nested deeply, and
        shared, so that comparing them all the way down could take forever.
    """

    digest: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        content: list[object] = [type(self).__name__]
        for each in fields(self):
            if each.name == "digest":
                continue
            value = getattr(self, each.name)
            if isinstance(value, Vocabulary):
                content.append(value.digest.hex())
            elif isinstance(value, str) and each.name == "pattern":
                content.append(value)
            else:
                value = (value,) if isinstance(value, str) else tuple(value)
                object.__setattr__(self, each.name, value)
                content.append(
                    [one.digest.hex() if isinstance(one, Vocabulary) else one for one in value]
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
    """The tokens that spell these strings, each as a continuation of other text."""

    strings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Strings(Vocabulary):
    """The tokens whose surface is one of these strings."""

    strings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Regex(Vocabulary):
    """The tokens whose whole surface matches."""

    pattern: str


@dataclass(frozen=True, eq=False)
class Union(Vocabulary):
    """What is in any of the sets."""

    operands: tuple[Vocabulary, ...]


@dataclass(frozen=True, eq=False)
class Intersect(Vocabulary):
    """What is in all of the sets."""

    operands: tuple[Vocabulary, ...]


@dataclass(frozen=True, eq=False)
class Difference(Vocabulary):
    """What is in the first set and not in the second."""

    first: Vocabulary
    second: Vocabulary


@dataclass(frozen=True, eq=False)
class Complement(Vocabulary):
    """All other tokens with a surface: special ones are never among them."""

    operand: Vocabulary
