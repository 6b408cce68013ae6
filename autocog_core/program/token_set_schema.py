"""The schemas of token sets."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag


class Schema(BaseModel):
    """Base class: exactly these keys, of exactly these types.

    The tags of unions have angle brackets, which separates them from keys in the paths of errors.
    """

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


#: The keys, one of which each set has.
OPERATIONS = ("tokens", "strings", "regex", "union", "intersect", "difference", "complement")


class TokensSchema(Schema):
    """The tokens that spell these strings as continuations of other text."""

    tokens: list[str]


class StringsSchema(Schema):
    """The tokens whose surface is one of these strings."""

    strings: list[str]


class RegexSchema(Schema):
    """The tokens whose whole surface matches a pattern."""

    regex: str


class UnionSchema(Schema):
    """The tokens that are in any of the sets."""

    union: list[AnyVocab]


class IntersectSchema(Schema):
    """The tokens that are in all of the sets."""

    intersect: list[AnyVocab] = Field(min_length=1)


class DifferenceSchema(Schema):
    """The tokens that are in the first set but not in the second."""

    difference: list[AnyVocab] = Field(min_length=2, max_length=2)


class ComplementSchema(Schema):
    """All other tokens with a surface, without special tokens."""

    complement: AnyVocab


def _vocab_tag(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((f"<{key}>" for key in OPERATIONS if key in value), None)
    if isinstance(value, Schema):
        return f"<{next(iter(type(value).model_fields))}>"
    return "<name>"


AnyVocab = Annotated[
    Annotated[str, Tag("<name>")]
    | Annotated[TokensSchema, Tag("<tokens>")]
    | Annotated[StringsSchema, Tag("<strings>")]
    | Annotated[RegexSchema, Tag("<regex>")]
    | Annotated[UnionSchema, Tag("<union>")]
    | Annotated[IntersectSchema, Tag("<intersect>")]
    | Annotated[DifferenceSchema, Tag("<difference>")]
    | Annotated[ComplementSchema, Tag("<complement>")],
    Discriminator(
        _vocab_tag,
        custom_error_type="vocab",
        custom_error_message="expected the name of a vocab, or a mapping with one of the keys "
        + ", ".join(OPERATIONS),
    ),
]
