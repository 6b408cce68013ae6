"""Requests to `/v1/decisions`, as OpenAI defines them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from autocog_core.server.decisions.body_parts import Part, Text
from autocog_core.server.decisions.openai_input import Content, Input, content_text
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
