"""The fields of answers that neither protocol has: their names begin with `x_`."""

from __future__ import annotations

from pydantic import BaseModel, Field


class QuestionExtensions(BaseModel):
    """What an answer to a question says about its numbers, beside its log-probabilities."""

    x_label_mass: float | None = Field(
        description="How much of the model's probability the options have."
    )
    x_exact: bool = Field(description="Whether the numbers are the model's own.")
    x_reason: str = Field(description="Why they are not, or how they were made.")
    x_norm: str = Field(description="What made the probabilities.")


class RequestExtensions(BaseModel):
    """How all questions of a request were answered."""

    x_template: str = Field(description="The version of the template that made the prompts.")
    x_method: str = Field(description="How options were scored: text or letter.")
    x_isolate: bool = Field(
        description="Whether the state and each question were evaluated by themselves."
    )
