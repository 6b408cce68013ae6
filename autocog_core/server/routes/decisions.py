"""`POST /v1/decisions`: questions about an input, as clients of OpenAI ask them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from autocog_core.server.decisions.answer import DecidedQuestion
from autocog_core.server.decisions.decide import decide
from autocog_core.server.decisions.openai_answer import DecisionsAnswer, usage_of
from autocog_core.server.decisions.openai_body import (
    ChoiceQuestion,
    DecisionsBody,
    QuestionBody,
    ScoreQuestion,
)
from autocog_core.server.decisions.openai_input import input_text
from autocog_core.server.decisions.served_templates import Templates
from autocog_core.server.json_answer import JsonAnswer, json_answer
from autocog_core.server.request_calls import Calls

router = APIRouter(tags=["decisions"])


@router.post("/v1/decisions", response_model=DecisionsAnswer)
async def decisions(body: DecisionsBody, calls: Calls, templates: Templates) -> JsonAnswer:
    """Answer questions about a text or a conversation, each by itself.

    The probabilities are those of the options as whole texts. Fields that begin with `x_` are
    extensions.
    """
    decided = await decide(
        calls, templates, body.model, input_text(body.input), body.to_questions(), body
    )
    usage = decided.usage
    return await json_answer(
        lambda: {
            "model": decided.model,
            "answers": list(map(_answer, body.questions, decided.answers)),
            "usage": usage_of(usage.prompt_tokens, usage.cached_tokens, usage.answer_tokens),
            **decided.extensions(),
        },
        entries=decided.option_count,
    )


def _answer(question: QuestionBody, answer: DecidedQuestion) -> dict[str, Any]:
    common = {"type": question.type, "name": question.name, **answer.extensions()}
    if isinstance(question, ChoiceQuestion):
        values = [choice.value for choice in question.choices]
        return {
            **common,
            "choice": values[answer.index],
            "confidence": answer.confidence,
            "probabilities": [
                {"value": value, "probability": prob}
                for value, prob in zip(values, answer.probs, strict=True)
            ],
        }
    if isinstance(question, ScoreQuestion):
        return {
            **common,
            "score": answer.expected_level,
            "confidence": answer.confidence,
            "probabilities": [
                {"value": number, "label": level.label, "probability": prob}
                for number, (level, prob) in enumerate(
                    zip(question.levels, answer.probs, strict=True)
                )
            ],
        }
    return {**common, "probability": answer.probs[0]}
