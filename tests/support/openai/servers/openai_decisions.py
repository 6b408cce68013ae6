"""api.openai.com: /v1/decisions (public beta since October 2026).

The request, its limits and the answers are as the openai SDK 3.54 types them. How the service comes
by its probabilities is not told. Here, option number i of a question has the probability of token i
after the input and the question, among the options (see `probabilities`): numbers that a test can
compute, and that are no log-probabilities of the options' texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.responses import JSONResponse, Response

from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.openai_errors import check_known, error
from tests.support.openai.servers.openai_shared import marks
from tests.support.openai.servers.replies import flattened

# fmt: off
KNOWN = frozenset({
    "model", "input", "questions", "prompt_cache_key", "prompt_cache_options",
    "safety_identifier",
})
# fmt: on
QUESTIONS, CHOICES, LEVELS = 400, 255, 10
#: What the probe finds of the route, in `info.details["decision_routes"]`.
DECIDES = {"v1/decisions": "yes"}


def answer(engine: Engine, body: Mapping[str, Any], reasoning: bool) -> Response:
    """The reply to a decisions request."""
    check_known(body, KNOWN)
    questions = body.get("questions")
    if not isinstance(questions, list) or not 1 <= len(questions) <= QUESTIONS:
        message = f"Invalid 'questions': expected 1 to {QUESTIONS}."
        raise error(message, param="questions")
    if not body.get("input"):
        message = "Missing required parameter: 'input'."
        raise error(message, param="input", code="missing_required_parameter")
    text = _text(body["input"])
    answers = [_answer(engine, text, question) for question in questions]
    tokens = sum(len(engine.encode(_asked(text, each))) for each in questions)
    usage = {
        "input_tokens": tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens,
    }
    return JSONResponse({"model": body["model"], "answers": answers, "usage": usage})


def probabilities(
    engine: Engine, text: str, question: Mapping[str, Any], count: int
) -> list[float]:
    """Of the options of a question about `text`: they sum to 1."""
    row = engine.model.greedy(engine.encode(_asked(text, question)))[:count].astype(np.float64)
    weights = np.exp(row - row.max())
    return [float(share) for share in weights / weights.sum()]


def _answer(engine: Engine, text: str, question: Mapping[str, Any]) -> dict[str, Any]:
    kind, name = question.get("type"), question.get("name")
    head = {"type": kind, "name": name}
    if marks(text)[0]:
        return head | {"type": "refusal"}
    if kind == "predicate":
        return head | {"probability": probabilities(engine, text, question, 2)[1]}
    if kind == "choice":
        values = [choice["value"] for choice in question.get("choices", ())]
        _check_options(values, "choices", CHOICES)
        shares = probabilities(engine, text, question, len(values))
        pairs = zip(values, shares, strict=True)
        listed = [{"value": value, "probability": share} for value, share in pairs]
        best = int(np.argmax(shares))
        found = {"choice": values[best], "confidence": shares[best], "probabilities": listed}
        return head | found
    if kind == "score":
        labels = [level["label"] for level in question.get("levels", ())]
        _check_options(labels, "levels", LEVELS)
        shares = probabilities(engine, text, question, len(labels))
        listed = [
            {"value": value, "label": label, "probability": share}
            for value, (label, share) in enumerate(zip(labels, shares, strict=True))
        ]
        score = sum(value * share for value, share in enumerate(shares))
        return head | {"score": score, "confidence": max(shares), "probabilities": listed}
    raise error(f"Invalid value: '{kind}'.", param="questions.type", code="invalid_value")


def _check_options(options: list[Any], name: str, most: int) -> None:
    # A string and a boolean with the same text are two options.
    distinct = {(type(option), option) for option in options}
    if not 2 <= len(options) <= most or len(distinct) < len(options):
        message = f"Invalid 'questions.{name}': expected 2 to {most}, each unique."
        raise error(message, param=f"questions.{name}")


def _asked(text: str, question: Mapping[str, Any]) -> str:
    return f"{text}\n{question.get('instructions', '')}\n"


def _text(given: Any) -> str:
    if isinstance(given, str):
        return given
    return "\n".join(message["content"] for message in flattened(given))
