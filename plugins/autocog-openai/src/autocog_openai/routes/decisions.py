"""/v1/decisions: the server decides between strings, and returns its own probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PATH = "v1/decisions"


def decision_body(
    model: str,
    prompt: str | Sequence[Mapping[str, str]],
    *,
    instructions: str,
    choices: Sequence[str],
) -> dict[str, Any]:
    """Return a request with one question.

    :param prompt: a text or messages.
    :param instructions: the question.
    :param choices: the possible answers.
    """
    question = {
        "type": "choice",
        "instructions": instructions,
        "choices": [{"value": choice} for choice in choices],
    }
    return {"model": model, "input": prompt, "questions": [question]}
