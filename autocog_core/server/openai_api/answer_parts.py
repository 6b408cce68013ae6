"""What answers of both routes have: ids, usage, and why a text ended."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Literal

from typing_extensions import TypedDict

from autocog_core.server.openai_api.text_request import TextRequest
from autocog_core.server.openai_api.writing import WrittenText
from autocog_core.types.completion import Completion

#: Why a text ended, in OpenAI's words: "stop" also at the end of the sequence, and where a
#: constraint allows no more.
OpenAIFinishReason = Literal["stop", "length"]
_LENGTH = frozenset({"length", "incomplete"})


class UsageAnswer(TypedDict):
    """How many tokens a request had."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


def usage_of(
    requests: Sequence[TextRequest], texts: Sequence[Sequence[WrittenText]]
) -> UsageAnswer:
    """Return how many tokens the prompts and the texts have.

    :param requests: the prompts.
    :param texts: the texts of each.
    """
    prompt = sum(request.prompt_tokens for request in requests)
    written = sum(text.tokens for of_prompt in texts for text in of_prompt)
    return UsageAnswer(
        prompt_tokens=prompt, completion_tokens=written, total_tokens=prompt + written
    )


def finish_reason_of(completion: Completion | None) -> OpenAIFinishReason:
    """Return why a text ended; a text without tokens ends at its length."""
    is_full = completion is None or completion.finish_reason in _LENGTH
    return "length" if is_full else "stop"


def new_id(kind: str) -> str:
    """Return the id of an answer, such as "cmpl-...".

    :param kind: "cmpl" or "chatcmpl".
    """
    return f"{kind}-{uuid.uuid4().hex}"


def now() -> int:
    """Return the time in seconds since 1970."""
    return int(time.time())
