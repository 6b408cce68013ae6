"""Requests of the System One protocol."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from autocog_core.server.decisions.body_parts import Part, Text, check_unicode
from autocog_core.server.decisions.question import (
    Option,
    Question,
    as_text,
    level_options,
    predicate_options,
)
from autocog_core.server.decisions.settings import DecisionSettings
from autocog_core.server.request_body import check_plain_data, kind_of


def _require_text(value: Any) -> Any:
    if not isinstance(value, str | dict | list):
        raise PydanticCustomError("text_type", "must be a text, an object or a list")
    return check_unicode(check_plain_data(value))


#: A text, or data that the model reads as JSON.
TextOrData = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[dict[str, Any], Tag("<object>")]
    | Annotated[list[Any], Tag("<list>")],
    Discriminator(kind_of),
    BeforeValidator(_require_text),
]


class NoulCriteria(Part):
    """What counts as yes, and as no."""

    yes: TextOrData | None = Field(None, alias="true", description="What counts as yes.")
    no: TextOrData | None = Field(None, alias="false", description="What counts as no.")


class _QuestionBody(Part):
    instructions: TextOrData | None = Field(None, description="What to decide.")


class NoulQuestion(_QuestionBody):
    """A question with the answers yes and no."""

    type: Literal["noul"]
    criteria: NoulCriteria | None = None


class ChoiceQuestion(_QuestionBody):
    """A question with options."""

    type: Literal["choice"]
    criteria: dict[Text, TextOrData | None] = Field(
        min_length=1, description="The options, and when each of them applies."
    )


class ScoreQuestion(_QuestionBody):
    """A question with levels."""

    type: Literal["score"]
    criteria: list[TextOrData] = Field(min_length=1, description="The levels, lowest first.")


QuestionBody = Annotated[NoulQuestion | ChoiceQuestion | ScoreQuestion, Field(discriminator="type")]


class SystemOneBody(DecisionSettings):
    """Questions about a text. Unknown fields are ignored."""

    model_config = ConfigDict(
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "model": "jev-latest",
                    "state": "I was charged twice. Please help.",
                    "questions": {
                        "refund": {"type": "noul", "instructions": "Is it about money?"},
                        "team": {
                            "type": "choice",
                            "criteria": {"Billing": "Payments", "Technical": None},
                        },
                        "anger": {"type": "score", "criteria": ["Calm", "Angry"]},
                    },
                }
            ]
        },
    )

    model: str | None = Field(
        None, description='The model. "jev-latest" is the default model of the server.'
    )
    state: TextOrData = Field(description="The text that all questions are about.")
    questions: dict[Text, QuestionBody] = Field(min_length=1, description="The questions, by name.")
    assets: dict[str, Any] | None = Field(None, description="Not supported: must be left out.")

    @model_validator(mode="after")
    def _refuse_assets(self) -> Self:
        if self.assets:
            raise PydanticCustomError(
                "assets", "assets are not supported: this server's models read text only"
            )
        return self

    def to_questions(self) -> list[Question]:
        """Return the questions in the form that both protocols share."""
        return [_question(name, body) for name, body in self.questions.items()]


def _question(name: str, body: QuestionBody) -> Question:
    place, instructions = f"questions.{name}", as_text(body.instructions)
    if isinstance(body, NoulQuestion):
        yes, no = (body.criteria.yes, body.criteria.no) if body.criteria else (None, None)
        options = predicate_options(as_text(yes), as_text(no))
        return Question(place, "predicate", instructions, options)
    if isinstance(body, ChoiceQuestion):
        options = tuple(Option(name, as_text(text)) for name, text in body.criteria.items())
        return Question(place, "choice", instructions, options)
    return Question(place, "score", instructions, level_options(body.criteria))
