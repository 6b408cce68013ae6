"""Choices without log-probabilities: one that the server is held to, or decisions of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import ChoiceRequest, ChoiceScore, ChoiceScores
from autocog_core.toolkit import entropy
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import RefusedError, malformed
from autocog_openai.connection.server_capabilities import Facts
from autocog_openai.connection.usage import Spending
from autocog_openai.routes.chat import ChatRoute, check_refused


def pick(
    connection: Connection,
    facts: Facts,
    route: ChatRoute,
    messages: Sequence[Mapping[str, str]],
    request: ChoiceRequest,
    reason: str,
) -> ChoiceScores:
    """The choice that the model makes where it can say nothing else: without a distribution."""
    choices = list(request.choices)
    more: dict[str, Any]
    if facts.server == "vllm":
        more = {"structured_outputs": {"choice": choices}}
    else:
        schema = {
            "type": "object",
            "properties": {"choice": {"type": "string", "enum": choices}},
            "required": ["choice"],
            "additionalProperties": False,
        }
        held = {"name": "choice", "strict": True, "schema": schema}
        more = {"response_format": {"type": "json_schema", "json_schema": held}}
    body = route.asked(messages, **more)
    if "temperature" not in facts.refused:
        body["temperature"] = 0
    spending = Spending()
    answer = connection.post(route.path, body, spending=spending)
    try:
        choice = answer["choices"][0]
        check_refused(choice, connection.where)
        text = choice["message"]["content"]
        picked = text if facts.server == "vllm" else json.loads(text)["choice"]
        index = choices.index(picked)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise malformed(connection.where, error) from error
    probabilities = [float(number == index) for number in range(len(choices))]
    scores = _scores(request, probabilities, index, "pick", reason)
    return replace(scores, tokens_evaluated=spending.evaluated)


def decide(
    connection: Connection,
    facts: Facts,
    messages: Sequence[Mapping[str, str]],
    request: ChoiceRequest,
    reason: str,
) -> ChoiceScores:
    """The server's own decision, with probabilities that are its own and no path's."""
    choices = list(request.choices)
    question = {
        "type": "choice",
        "instructions": "Which of these continues the input best?",
        "choices": [{"value": choice} for choice in choices],
    }
    spending = Spending()
    answer = connection.post(
        "v1/decisions",
        {"model": facts.model, "input": list(messages), "questions": [question]},
        spending=spending,
    )
    try:
        found = answer["answers"][0]
        if found["type"] == "refusal":
            raise RefusedError("the model refused", where=connection.where)
        shares = {each["value"]: float(each["probability"]) for each in found["probabilities"]}
        probabilities = [shares[choice] for choice in choices]
        index = choices.index(found["choice"])
        if not _is_distribution(probabilities):
            raise ValueError(f"{probabilities} are no probabilities")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise malformed(connection.where, error) from error
    scores = _scores(request, probabilities, index, "decision", reason)
    return replace(scores, tokens_evaluated=spending.evaluated)


def _is_distribution(probabilities: Sequence[float]) -> bool:
    # The server may give a share to none of the choices, and rounds.
    return all(0.0 <= each <= 1.0 for each in probabilities) and sum(probabilities) <= 1.0 + 1e-3


def _scores(
    request: ChoiceRequest, probabilities: Sequence[float], index: int, method: str, reason: str
) -> ChoiceScores:
    """No tokens, so that nothing of it is added to the log-probability of a path."""
    logs = [math.log(p) if p > 0 else -math.inf for p in probabilities]
    scores = tuple(
        ChoiceScore(choice, (), (), log, log, log, log, None, p)
        for choice, log, p in zip(request.choices, logs, probabilities, strict=True)
    )
    others = [p for number, p in enumerate(probabilities) if number != index]
    return ChoiceScores(
        index=index,
        scores=scores,
        norm=request.norm,
        boundary="token_ids",
        healed_text="",
        has_prefix_choices=False,
        entropy=entropy(np.array(probabilities)),
        margin=probabilities[index] - max(others, default=0.0),
        exact=False,
        method=method,
        reason=reason,
    )
