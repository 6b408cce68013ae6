"""Decisions of OpenAI: `POST /v1/decisions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autocog_openai.connection.answer_fields import (
    FieldError,
    as_list,
    as_probability,
    as_text,
    required,
)
from autocog_openai.connection.errors import RefusedError
from autocog_openai.decisions.protocol import Decision, DecisionQuestion, State, make_decision

#: OpenAI requires instructions.
DEFAULT_INSTRUCTIONS = "Which of these continues the input best?"


class OpenAIDecisions:
    """The protocol of OpenAI. Its answers have the order of the questions."""

    path = "v1/decisions"

    def body(
        self, model: str, state: State, questions: Sequence[DecisionQuestion]
    ) -> dict[str, Any]:
        """Return the body of a request. The options have no descriptions."""
        return {"model": model, "input": state, "questions": list(map(_question, questions))}

    def read(
        self, answer: Any, questions: Sequence[DecisionQuestion], where: str
    ) -> list[Decision]:
        """Return the decisions in an answer."""
        answers = required(answer, "answers", as_list)
        if len(answers) != len(questions):
            raise FieldError(f"there are {len(answers)} answers to {len(questions)} questions")
        return [_decision(*pair, where) for pair in zip(questions, answers, strict=True)]


def _question(question: DecisionQuestion) -> dict[str, Any]:
    return {
        "type": "choice",
        "instructions": question.instructions or DEFAULT_INSTRUCTIONS,
        "choices": [{"value": option} for option in question.options],
    }


def _decision(question: DecisionQuestion, answer: Any, where: str) -> Decision:
    if required(answer, "type", as_text) == "refusal":
        raise RefusedError("the model refused", where=where)
    return make_decision(
        question,
        required(answer, "choice", as_text),
        {
            required(entry, "value", as_text): required(entry, "probability", as_probability)
            for entry in required(answer, "probabilities", as_list)
        },
    )
