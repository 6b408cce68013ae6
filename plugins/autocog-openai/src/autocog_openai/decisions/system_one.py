"""System One: `POST /v1/systemone`, which many servers of decision models have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autocog_openai.connection.answer_fields import (
    FieldError,
    as_object,
    as_probability,
    as_text,
    required,
)
from autocog_openai.decisions.protocol import Decision, DecisionQuestion, State, make_decision


class SystemOne:
    """The protocol of TypeSafe. Its questions and answers have names."""

    path = "v1/systemone"

    def body(
        self, model: str, state: State, questions: Sequence[DecisionQuestion]
    ) -> dict[str, Any]:
        """Return the body of a request. The options have no descriptions."""
        named = zip(_names(questions), questions, strict=True)
        return {
            "model": model,
            "state": state,
            "questions": {name: _question(question) for name, question in named},
        }

    def read(
        self, answer: Any, questions: Sequence[DecisionQuestion], where: str
    ) -> list[Decision]:
        """Return the decisions in an answer."""
        answers = required(answer, "answers", as_object)
        named = zip(_names(questions), questions, strict=True)
        return [_decision(question, required(answers, name, as_object)) for name, question in named]


def _names(questions: Sequence[DecisionQuestion]) -> list[str]:
    return [f"question {number}" for number in range(1, len(questions) + 1)]


def _question(question: DecisionQuestion) -> dict[str, Any]:
    body: dict[str, Any] = {"type": "choice", "criteria": dict.fromkeys(question.options)}
    if question.instructions:
        body["instructions"] = question.instructions
    return body


def _decision(question: DecisionQuestion, answer: Any) -> Decision:
    kind = required(answer, "type", as_text)
    if kind != "choice":
        raise FieldError(f"an answer is of the type {kind!r}, not 'choice'")
    probabilities = required(answer, "probabilities", as_object)
    return make_decision(
        question,
        required(answer, "choice", as_text),
        {name: as_probability(value, "probabilities") for name, value in probabilities.items()},
    )
