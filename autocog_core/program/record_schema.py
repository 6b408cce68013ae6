"""The schema of records."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from autocog_core.program.action_schema import ActionSchema


def _boolean_or_mapping_tag(value: Any) -> str:
    return "<boolean>" if isinstance(value, bool) else "<mapping>"


AnyJsonSchema = Annotated[
    Annotated[dict[str, Any], Tag("<mapping>")] | Annotated[bool, Tag("<boolean>")],
    Discriminator(_boolean_or_mapping_tag),
]


class RecordSchema(ActionSchema):
    """A typed record that the model writes."""

    type: Literal["record"] = "record"
    record: AnyJsonSchema = Field(description="A JSON Schema; the record is a value of it.")
    template: str | None = Field(
        None,
        description='How the record is written, such as "Name: {name}, age: {age}". Default: JSON.',
    )
    flat: bool = Field(
        False, description="Whether each field of the record is a field of the result: NAME.FIELD."
    )
    beams: int = Field(1, description="The number of beams of each text; 1 is greedy decoding.")
    max_tokens_per_text: int = Field(
        64, description="The largest number of tokens of a string or number."
    )
    max_items: int = Field(
        20, description="The largest number of items of a list without `maxItems`."
    )
