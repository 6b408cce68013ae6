"""`POST /v1/systemone`: questions about a text, as clients of System One ask them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from autocog_core.server.decisions.answer import DecidedQuestion
from autocog_core.server.decisions.decide import decide
from autocog_core.server.decisions.question import as_text
from autocog_core.server.decisions.served_templates import Templates
from autocog_core.server.decisions.system_one_answer import SystemOneAnswer, SystemOneError
from autocog_core.server.decisions.system_one_body import (
    ChoiceQuestion,
    QuestionBody,
    ScoreQuestion,
    SystemOneBody,
)
from autocog_core.server.documented_errors import error_responses
from autocog_core.server.json_answer import JsonAnswer, json_answer
from autocog_core.server.request_calls import Calls

router = APIRouter(tags=["decisions"])


@router.post(
    "/v1/systemone", response_model=SystemOneAnswer, responses=error_responses(SystemOneError)
)
async def system_one(body: SystemOneBody, calls: Calls, templates: Templates) -> JsonAnswer:
    """Answer questions about a text, each by itself.

    The probabilities are those of the options as whole texts. Fields that begin with `x_` are
    extensions.
    """
    decided = await decide(
        calls, templates, body.model, as_text(body.state), body.to_questions(), body
    )
    answers = zip(body.questions.items(), decided.answers, strict=True)
    return await json_answer(
        lambda: {
            "model": decided.model,
            "answers": {name: _answer(question, answer) for (name, question), answer in answers},
            "usage": {
                "input_tokens": decided.usage.prompt_tokens,
                "output_tokens": decided.usage.answer_tokens,
            },
            **decided.extensions(),
        },
        entries=decided.option_count,
    )


def _answer(question: QuestionBody, answer: DecidedQuestion) -> dict[str, Any]:
    if isinstance(question, ChoiceQuestion):
        names = list(question.criteria)
        return {
            "type": "choice",
            "choice": names[answer.index],
            "confidence": answer.confidence,
            "probabilities": dict(zip(names, answer.probs, strict=True)),
            **answer.extensions(names),
        }
    if isinstance(question, ScoreQuestion):
        names = [str(level) for level in range(len(question.criteria))]
        return {
            "type": "score",
            "score": answer.expected_level,
            "confidence": answer.confidence,
            "legend": dict(zip(names, question.criteria, strict=True)),
            "probabilities": dict(zip(names, answer.probs, strict=True)),
            **answer.extensions(names),
        }
    return {"type": "noul", "noul": answer.probs[0], **answer.extensions(("true", "false"))}
