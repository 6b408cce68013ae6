"""Errors that a server puts into the body of an answer, or into an event of a stream.

Some servers and gateways answer with status 200 and an error in the body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx2
from pydantic_core import from_json

#: The key of `httpx2.Response.extensions` with the error of the body.
ERROR_IN_BODY = "autocog_error_in_body"
#: A key "error", or what old servers of vLLM send. In texts, quotes are escaped.
_MAY_BE_ERROR = re.compile(rb'"error"\s*:|"object"\s*:\s*"error"')
#: Parts of the names of errors. The first that occurs decides.
_STATUS_OF_NAME = (
    (401, ("authentication", "unauthorized", "unauthenticated", "api_key")),
    (403, ("permission", "forbidden")),
    (429, ("rate_limit", "ratelimit", "too_many", "toomany", "quota", "throttl")),
    (503, ("overload", "unavailable", "timeout", "timed_out", "gateway")),
    (500, ("server_error", "servererror", "internal")),
    (404, ("not_found", "notfound")),
    (400, ("invalid", "bad_request", "badrequest", "unsupported", "unknown", "exceed", "filter")),
)


def error_in(answer: Any) -> Any:
    """Return the error in an answer or an event; None if there is none.

    :returns: an object with a message, or only a message.
    """
    if isinstance(answer, list):
        # SGLang returns several alternatives as a list.
        return next((error for item in answer if (error := error_in(item)) is not None), None)
    if not isinstance(answer, Mapping):
        return None
    if answer.get("error"):
        return answer["error"]
    if answer.get("type") == "error" or answer.get("object") == "error":
        return answer
    for part in (answer.get("response"), *_objects(answer.get("choices"))):
        if isinstance(part, Mapping) and part.get("error"):
            return part["error"]
    return None


def status_of(error: Any) -> int | None:
    """Return the HTTP status that an error stands for; None if it has none."""
    if not isinstance(error, Mapping):
        return None
    codes = [error.get(name) for name in ("code", "status", "status_code", "type")]
    for code in codes:
        text = str(code)
        if text.isdecimal() and len(text) == 3 and text[0] in "45":
            return int(text)
    names = " ".join(code for code in codes if isinstance(code, str)).lower().replace(" ", "_")
    for status, parts in _STATUS_OF_NAME:
        if any(part in names for part in parts):
            return status
    return None


def mark_error_in_body(response: httpx2.Response) -> None:
    """Give an answer with status 200 and an error the status of this error.

    The SDK then retries what may pass, and raises the rest. An error without a status is the
    input's.

    :param response: an answer that was read.
    """
    if not response.is_success or _MAY_BE_ERROR.search(response.content) is None:
        return
    try:
        error = error_in(from_json(response.content))
    except ValueError:
        return
    if error is not None:
        response.extensions[ERROR_IN_BODY] = error
        response.status_code = status_of(error) or 400


def _objects(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
