"""Answers of the System One protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from autocog_core.server.decisions.extensions import QuestionExtensions, RequestExtensions


class _Answer(QuestionExtensions):
    x_logprob: dict[str, float | None] | None = Field(
        description="The log-probability of each option, in nats; null for an impossible one, and "
        "if the model's server does not show any."
    )


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


class SystemOneAnswer(RequestExtensions):
    """The answers."""

    model: str
    answers: dict[
        str, Annotated[NoulAnswer | ChoiceAnswer | ScoreAnswer, Field(discriminator="type")]
    ]
    usage: SystemOneUsage


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
