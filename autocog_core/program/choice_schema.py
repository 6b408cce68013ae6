"""The schemas of choices."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from autocog_core.automaton.templates.template import is_template
from autocog_core.program.token_set_schema import Schema


class LiteralSchema(Schema):
    """Text that is never a template."""

    literal: str


def _choice_text_tag(value: Any) -> str:
    return "<literal>" if isinstance(value, dict | LiteralSchema) else "<template>"


AnyChoiceText = Annotated[
    Annotated[str, Tag("<template>")] | Annotated[LiteralSchema, Tag("<literal>")],
    Discriminator(_choice_text_tag),
]


def _require_scalar(value: Any) -> Any:
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise PydanticCustomError("value", "expected a text, number or boolean")


AnyValue = Annotated[str | bool | int | float, BeforeValidator(_require_scalar)]


class ChoiceSchema(Schema):
    """A choice with a value, several texts, or its own `next`.

    It has one of `text`, `literal` and `texts`.
    """

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [key]} for key in ("text", "literal", "texts")]}
    )

    text: str = Field("", description="The choice, as a template.")
    literal: str = Field("", description="The choice, as plain text.")
    texts: list[AnyChoiceText] = Field(
        [], min_length=1, description="Several texts of the choice, whose probabilities are summed."
    )
    value: AnyValue = Field(
        "",
        description="What the field holds. Default: the first text without the blanks around it.",
    )
    next: str | None = Field(
        None, description='Uid of the action after this choice; "end" or null ends the path.'
    )

    @model_validator(mode="after")
    def _require_one_text(self) -> ChoiceSchema:
        given = self.model_fields_set & {"text", "literal", "texts"}
        if given == {"text", "literal"} or not given:
            raise PydanticCustomError("choice", 'expected either "text" or "literal"')
        if len(given) > 1:
            raise PydanticCustomError("choice", 'expected one of "text", "literal" and "texts"')
        has_literal = "literal" in given or any(not isinstance(text, str) for text in self.texts)
        if isinstance(self.value, str) and is_template(self.value) and not has_literal:
            raise PydanticCustomError("value", 'value: only beside "each" it may be a template')
        return self


class EachSchema(Schema):
    """One choice for each item of a list."""

    each: str = Field(
        description="An expression for a list, usually the name of an input or fields.NAME."
    )
    text: str = Field(
        "{{ item }}", description="The template of each choice, with item and its index from 0."
    )
    texts: list[str] = Field(
        [], min_length=1, description="Templates of several texts for each choice."
    )
    value: str | None = Field(
        None,
        description="The template of each choice's value. One expression keeps its type. Default: "
        "the first text without the blanks around it.",
    )
    next: str | None = Field(
        None, description='Uid of the action after these choices; "end" or null ends the path.'
    )


def _choice_tag(value: Any) -> str:
    if isinstance(value, dict):
        return "<each>" if "each" in value else "<choice>"
    if isinstance(value, Schema):
        return "<each>" if isinstance(value, EachSchema) else "<choice>"
    return "<text>"


AnyChoice = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[ChoiceSchema, Tag("<choice>")]
    | Annotated[EachSchema, Tag("<each>")],
    Discriminator(_choice_tag),
]
