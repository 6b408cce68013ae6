"""Answers of the System One protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field


class _Answer(BaseModel):
    x_logprob: dict[str, float | None] | None = Field(
        description="The log-probability of each option, in nats; null for an impossible one, and "
        "if the model's server does not show any."
    )
    x_label_mass: float | None = Field(
        description="How much of the model's probability the options have."
    )
    x_exact: bool = Field(description="Whether the numbers are the model's own.")
    x_reason: str = Field(description="Why they are not, or how they were made.")
    x_norm: str = Field(description="What made the probabilities.")


class NoulAnswer(_Answer):
    """The answer to a question with yes and no."""

    type: Literal["noul"]
    noul: float = Field(ge=0, le=1, description="The probability of yes.")


class ChoiceAnswer(_Answer):
    """The answer to a question with options."""

    type: Literal["choice"]
    choice: str
    confidence: float = Field(ge=0, le=1)
    probabilities: dict[str, float]


class ScoreAnswer(_Answer):
    """The answer to a question with levels."""

    type: Literal["score"]
    score: float = Field(description="The mean level, from 0.")
    confidence: float = Field(ge=0, le=1)
    legend: dict[str, str | dict[str, Any] | list[Any]]
    probabilities: dict[str, float]


class SystemOneUsage(BaseModel):
    """What a request cost."""

    input_tokens: int = Field(description="Tokens of all prompts.")
    output_tokens: int = Field(description="Tokens of all options, which were scored.")


class SystemOneAnswer(BaseModel):
    """The answers."""

    model: str
    answers: dict[
        str, Annotated[NoulAnswer | ChoiceAnswer | ScoreAnswer, Field(discriminator="type")]
    ]
    usage: SystemOneUsage
    x_template: str = Field(description="The version of the template that made the prompts.")
    x_method: str
    x_isolate: bool


class ErrorPlace(BaseModel):
    """One error of a body."""

    loc: Sequence[str | int]
    msg: str
    type: str


class ErrorKind(BaseModel):
    """Any other error."""

    error_type: str
    message: str


class SystemOneError(BaseModel):
    """The answer for an error."""

    detail: list[ErrorPlace] | ErrorKind
