"""The parts of a record: what a JSON Schema says of a value, ready to be written by pieces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Values:
    """One of a few constants; with one value, there is nothing to decide.

    :ivar values: the values as JSON data, all different.
    """

    values: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Strings:
    """Strings by rules, all of which hold.

    :ivar min_length: the smallest number of characters.
    :ivar max_length: the largest number; None for no limit.
    :ivar patterns: regular expressions of ECMA 262 that are found in the string.
    :ivar formats: names of formats that the string has.
    """

    min_length: int = 0
    max_length: int | None = None
    patterns: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Numbers within bounds.

    :ivar is_integer: whether they are whole.
    :ivar minimum: the lower bound; None for none.
    :ivar maximum: the upper bound; None for none.
    :ivar excludes_minimum: whether the lower bound itself is left out.
    :ivar excludes_maximum: whether the upper bound itself is left out.
    :ivar fraction_digits: the largest number of digits after the point; None for the usual number.
    """

    is_integer: bool
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    excludes_minimum: bool = False
    excludes_maximum: bool = False
    fraction_digits: int | None = None


@dataclass(frozen=True, kw_only=True)
class Scalar:
    """A value that the model writes as one text: a string or a number, or one of several kinds.

    :ivar strings: the kinds of strings that it may be.
    :ivar numbers: the kinds of numbers that it may be.
    :ivar values: constants that it may be.
    """

    strings: tuple[Strings, ...] = ()
    numbers: tuple[Numbers, ...] = ()
    values: tuple[Any, ...] = ()

    @property
    def is_string(self) -> bool:
        """Whether it is always a string."""
        return not self.numbers and all(isinstance(value, str) for value in self.values)


@dataclass(frozen=True, kw_only=True)
class Property:
    """An entry of an object."""

    name: str
    part: Part
    required: bool


@dataclass(frozen=True, kw_only=True)
class Object:
    """An object with known keys.

    :ivar properties: its entries, in the order in which they are written.
    """

    properties: tuple[Property, ...]


@dataclass(frozen=True, kw_only=True)
class Array:
    """A list of items.

    :ivar first: the parts of its first items, where these differ from the others.
    :ivar item: the part of every other item; None if there are no others.
    :ivar minimum: the smallest number of items.
    :ivar maximum: the largest number; None for no limit.
    """

    first: tuple[Part, ...]
    item: Part | None
    minimum: int
    maximum: int | None

    def part_at(self, index: int) -> Part:
        """Return the part of an item."""
        part = self.first[index] if index < len(self.first) else self.item
        assert part is not None, "the maximum leaves out items without a part"
        return part


@dataclass(frozen=True, kw_only=True)
class Union:
    """One of several parts, whose first characters say which.

    :ivar alternatives: at most one of each kind; objects differ in their first entry.
    """

    alternatives: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A value that cannot be split, which the model writes as one text of JSON.

    :ivar schema: its JSON Schema, complete in itself.
    """

    schema: Mapping[str, Any]


Part = Values | Scalar | Object | Array | Union | Document
