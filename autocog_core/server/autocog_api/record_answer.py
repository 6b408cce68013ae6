"""The answer of `/v1/records`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from autocog_core.server.autocog_api.usage import CallUsage


class AlternativeAnswer(BaseModel):
    """A value that a field could have had."""

    value: Any = Field(description="The value.")
    prob: float = Field(description="Its probability, given what stands before the field.")


class RecordFieldAnswer(BaseModel):
    """A field of a record."""

    value: Any = Field(description="Its value.")
    prob: float | None = Field(description="Its probability, given what stands before it.")
    logprob: float | None = Field(description="The model's own log-probability of its tokens.")
    alternatives: list[AlternativeAnswer] = Field(description="Other values, likeliest first.")


class RecordResult(BaseModel):
    """A record that the model wrote."""

    value: Any = Field(description="The record; the schema allows it.")
    prob: float | None = Field(
        description="Its probability under the constraints; null on a server without token "
        "distributions."
    )
    logprob: float | None = Field(description="The model's own log-probability of its tokens.")
    exact: bool = Field(description="Whether the numbers are the model's own.")
    reason: str | None = Field(None, description="Why they are not.")
    fields: dict[str, RecordFieldAnswer] = Field(
        description='The fields by path, such as "items[0].price".'
    )
    tree: dict[str, Any] | None = Field(None, description="With `tree`: the tree of the run.")


class RecordsAnswer(BaseModel):
    """The answer of `/v1/records`."""

    object: Literal["records"] = "records"
    model: str = Field(description="The name of the model.")
    results: list[RecordResult] = Field(description="One record for each prompt, in their order.")
    usage: CallUsage
