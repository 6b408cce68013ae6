"""Requests to `/v1/decisions` and their answers, as OpenAI defines them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from autocog_core.server.decisions.openai_input import Content, Input, Part, Text, content_text
from autocog_core.server.decisions.question import (
    Option,
    Question,
    level_options,
    predicate_options,
)
from autocog_core.server.decisions.settings import DecisionSettings


class _QuestionBody(Part):
    name: Text | None = Field(None, description="Its name, which the answer has too.")
    instructions: Content = Field(description="What to decide.")


class PredicateQuestion(_QuestionBody):
    """A statement that may be true."""

    type: Literal["predicate"]


class ChoiceOption(Part):
    """An option: a text or a boolean. "true" and true are different options."""

    value: Text | bool
    description: Text = ""


class ScoreLevel(Part):
    """A level."""

    label: Text
    description: Text = ""


def _check_distinct(choices: Sequence[ChoiceOption]) -> Sequence[ChoiceOption]:
    seen: dict[tuple[type, str | bool], int] = {}
    for index, choice in enumerate(choices):
        first = seen.setdefault((type(choice.value), choice.value), index)
        if first != index:
            raise PydanticCustomError(
                "equal_choices",
                "choices {first} and {index} are equal; remove one of them",
                {"first": first, "index": index},
            )
    return choices


class ChoiceQuestion(_QuestionBody):
    """A question with options."""

    type: Literal["choice"]
    choices: Annotated[list[ChoiceOption], Field(min_length=1), AfterValidator(_check_distinct)]


class ScoreQuestion(_QuestionBody):
    """A question with levels."""

    type: Literal["score"]
    levels: list[ScoreLevel] = Field(min_length=1, description="The levels, lowest first.")


QuestionBody = Annotated[
    PredicateQuestion | ChoiceQuestion | ScoreQuestion, Field(discriminator="type")
]


class DecisionsBody(DecisionSettings):
    """Questions about an input. Fields that this server does not know are ignored."""

    model_config = ConfigDict(
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "input": "I was charged twice. Please help.",
                    "questions": [
                        {"type": "predicate", "name": "money", "instructions": "It is about money."}
                    ],
                }
            ]
        },
    )

    model: str | None = Field(None, description="The model. Default: the server's default model.")
    input: Input = Field(description="What all questions are about.")
    questions: list[QuestionBody] = Field(min_length=1, description="The questions.")

    @model_validator(mode="after")
    def _refuse_equal_names(self) -> Self:
        seen: set[str] = set()
        for question in self.questions:
            if question.name is not None:
                if question.name in seen:
                    raise PydanticCustomError(
                        "equal_names",
                        "two questions have the name {name}; give each another one",
                        {"name": repr(question.name[:80])},
                    )
                seen.add(question.name)
        return self

    def to_questions(self) -> list[Question]:
        """Return the questions in the form that both protocols share.

        :raises RequestError: for an image.
        """
        return [_question(index, body) for index, body in enumerate(self.questions)]


def _question(index: int, body: QuestionBody) -> Question:
    place = f"questions.{index}"
    instructions = content_text(body.instructions, f"{place}.instructions")
    if body.name is not None:
        place += f" ({body.name})"
    if isinstance(body, PredicateQuestion):
        return Question(place, "predicate", instructions, predicate_options())
    if isinstance(body, ChoiceQuestion):
        return Question(place, "choice", instructions, _choice_options(body.choices))
    labels = [level.label for level in body.levels]
    options = level_options(labels, [level.description for level in body.levels])
    return Question(place, "score", instructions, options)


def _choice_options(choices: Sequence[ChoiceOption]) -> tuple[Option, ...]:
    texts = {choice.value for choice in choices if isinstance(choice.value, str)}
    options = []
    for choice in choices:
        name = choice.value if isinstance(choice.value, str) else str(choice.value).lower()
        if not isinstance(choice.value, str):
            while name in texts:
                name += " (boolean)"
        options.append(Option(name, choice.description))
    return tuple(options)


class _Answer(BaseModel):
    name: str | None
    x_logprob: list[float | None] | None = Field(
        description="The log-probability of each option in nats, in the order of the probabilities "
        "(of a predicate: yes, no); null if the model's server does not show any."
    )
    x_label_mass: float | None = Field(
        description="How much of the model's probability the options have."
    )
    x_exact: bool = Field(description="Whether the numbers are the model's own.")
    x_reason: str = Field(description="Why they are not, or how they were made.")
    x_norm: str = Field(description="What made the probabilities.")


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


class DecisionsAnswer(BaseModel):
    """The answers, in the order of the questions."""

    model: str
    answers: list[
        Annotated[PredicateAnswer | ChoiceAnswer | ScoreAnswer, Field(discriminator="type")]
    ]
    usage: DecisionsUsage
    x_template: str = Field(description="The version of the template that made the prompts.")
    x_method: str
    x_isolate: bool


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
