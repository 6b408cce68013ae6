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
#: A key "error", what old servers of vLLM send, or the code of a status. In texts, quotes are
#: escaped.
_MAY_BE_ERROR = re.compile(
    rb'"error"\s*:|"object"\s*:\s*"error"|"(code|status|status_code)"\s*:\s*"?[45]\d\d\b'
)
#: The fields that may have a status.
_CODES = ("code", "status", "status_code")
#: Parts of the names of errors. The first that occurs decides.
_STATUS_OF_NAME = (
    (401, ("authentication", "unauthorized", "unauthenticated", "api_key")),
    (403, ("permission", "forbidden")),
    (429, ("rate_limit", "ratelimit", "too_many", "toomany", "quota", "throttl", "exhausted")),
    (503, ("overload", "unavailable", "timeout", "timed_out", "gateway")),
    (500, ("server_error", "servererror", "internal")),
    (404, ("not_found", "notfound")),
    (400, ("invalid", "bad_request", "badrequest", "unsupported", "unknown", "exceed", "filter")),
)
#: Words of messages without a code that say that the request may be sent again.
_STATUS_OF_WORDS = (
    (429, re.compile(r"rate.?limit|too many requests|resource.?exhausted|\bquota\b", re.I)),
    (503, re.compile(r"overloaded|at capacity|try again (later|in|soon|shortly)\b", re.I)),
)
#: An answer that has one of these is no error, whatever its other fields say.
_RESULTS = ("choices", "output", "content", "data")


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
    if isinstance(answer.get("message"), str) and not any(map(answer.get, _RESULTS)):
        # Some gateways send only the error.
        return answer if _numeric_status(answer) is not None else None
    for part in (answer.get("response"), *_objects(answer.get("choices"))):
        if isinstance(part, Mapping) and part.get("error"):
            return part["error"]
    return None


def status_of(error: Any) -> int | None:
    """Return the HTTP status that an error stands for; None if it has none."""
    if isinstance(error, str):
        return _status_of_words(error)
    if not isinstance(error, Mapping):
        return None
    status = _numeric_status(error)
    if status is not None:
        return status
    values = (error.get(name) for name in (*_CODES, "type"))
    names = " ".join(value for value in values if isinstance(value, str)).lower()
    names = names.replace(" ", "_")
    for status, parts in _STATUS_OF_NAME:
        if any(part in names for part in parts):
            return status
    message = error.get("message")
    return _status_of_words(message) if isinstance(message, str) else None


def _numeric_status(error: Mapping[str, Any]) -> int | None:
    for name in (*_CODES, "type"):
        value = error.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        text = str(value)
        if text.isdecimal() and len(text) == 3 and text[0] in "45":
            return int(text)
    return None


def _status_of_words(message: str) -> int | None:
    return next((status for status, words in _STATUS_OF_WORDS if words.search(message)), None)


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
