"""Answers of `/v1/decisions`, as OpenAI defines them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from autocog_core.server.decisions.extensions import QuestionExtensions, RequestExtensions


class _Answer(QuestionExtensions):
    name: str | None
    x_logprob: list[float | None] | None = Field(
        description="The log-probability of each option in nats, in the order of the probabilities "
        "(of a predicate: yes, no); null if the model's server does not show any."
    )


class PredicateAnswer(_Answer):
    """How likely a statement is true."""

    type: Literal["predicate"]
    probability: float = Field(ge=0, le=1)


class ChoiceProbability(BaseModel):
    """An option with its probability."""

    value: str | bool
    probability: float


class ChoiceAnswer(_Answer):
    """The likeliest option."""

    type: Literal["choice"]
    choice: str | bool
    confidence: float = Field(ge=0, le=1)
    probabilities: list[ChoiceProbability]


class LevelProbability(BaseModel):
    """A level with its probability."""

    value: int
    label: str
    probability: float


class ScoreAnswer(_Answer):
    """The mean level."""

    type: Literal["score"]
    score: float
    confidence: float = Field(ge=0, le=1)
    probabilities: list[LevelProbability]


class InputTokens(BaseModel):
    """Tokens of the prompts that needed no evaluation."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputTokens(BaseModel):
    """Tokens of thoughts: none."""

    reasoning_tokens: int = 0


class DecisionsUsage(BaseModel):
    """What a request cost."""

    input_tokens: int = Field(description="Tokens of all prompts.")
    input_tokens_details: InputTokens
    output_tokens: int = Field(description="Tokens of all options, which were scored.")
    output_tokens_details: OutputTokens
    total_tokens: int


class DecisionsAnswer(RequestExtensions):
    """The answers, in the order of the questions."""

    model: str
    answers: list[
        Annotated[PredicateAnswer | ChoiceAnswer | ScoreAnswer, Field(discriminator="type")]
    ]
    usage: DecisionsUsage


def usage_of(prompt: int, cached: int, output: int) -> dict[str, Any]:
    """Return the `DecisionsUsage` as plain data.

    :param prompt: tokens of all prompts.
    :param cached: of these, those that were not evaluated.
    :param output: tokens of all options.
    """
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + output,
    }
