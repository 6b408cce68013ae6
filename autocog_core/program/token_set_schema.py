"""The shapes of sets of tokens."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag


class Shape(BaseModel):
    """Base: exactly these keys, of exactly these types.

    The tags of unions are in brackets, for places in the data are told from them.
    """

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


#: The key by which a set is known for what it is.
OPERATIONS = ("tokens", "strings", "regex", "union", "intersect", "difference", "complement")


class TokensShape(Shape):
    """The tokens that spell these strings, each as a continuation of other text."""

    tokens: list[str]


class StringsShape(Shape):
    """The tokens whose surface is one of these strings."""

    strings: list[str]


class RegexShape(Shape):
    """The tokens whose whole surface matches."""

    regex: str


class UnionShape(Shape):
    """What is in any of the sets."""

    union: list[AnyVocab]


class IntersectShape(Shape):
    """What is in all of the sets."""

    intersect: list[AnyVocab] = Field(min_length=1)


class DifferenceShape(Shape):
    """What is in the first set and not in the second."""

    difference: list[AnyVocab] = Field(min_length=2, max_length=2)


class ComplementShape(Shape):
    """All other tokens with a surface."""

    complement: AnyVocab


def _vocab_tag(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((f"<{name}>" for name in OPERATIONS if name in value), None)
    if isinstance(value, Shape):
        return f"<{next(iter(type(value).model_fields))}>"
    return "<name>"


AnyVocab = Annotated[
    Annotated[str, Tag("<name>")]
    | Annotated[TokensShape, Tag("<tokens>")]
    | Annotated[StringsShape, Tag("<strings>")]
    | Annotated[RegexShape, Tag("<regex>")]
    | Annotated[UnionShape, Tag("<union>")]
    | Annotated[IntersectShape, Tag("<intersect>")]
    | Annotated[DifferenceShape, Tag("<difference>")]
    | Annotated[ComplementShape, Tag("<complement>")],
    Discriminator(
        _vocab_tag,
        custom_error_type="vocab",
        custom_error_message="a set of tokens is a name, or has one of: " + ", ".join(OPERATIONS),
    ),
]
