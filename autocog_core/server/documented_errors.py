"""Errors of all routes, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

#: What each status of an error means.
MEANINGS = {
    400: "The request cannot be answered: an argument is wrong, the prompt is too long, or the "
    "model does not support it.",
    401: "No valid key.",
    404: "No such model, program or route.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not JSON, or its `Content-Type` does not say so.",
    421: "The server does not answer for the host in the header `Host`.",
    422: "The body does not have the fields of this route.",
    429: "Too many calls wait; come again after the seconds of `Retry-After`.",
    431: "The request has too many or too large headers.",
    500: "The model or the server had an error; the server's log says which.",
    503: "The server is shutting down, or the model is not loaded.",
    504: "The answer took longer than the server's time limit; the work has ended.",
}


class ErrorDetails(BaseModel):
    """What is wrong."""

    message: str = Field(description="What is wrong, where, and what to do.")
    type: Literal[
        "invalid_request_error",
        "authentication_error",
        "not_found_error",
        "request_too_large",
        "rate_limit_error",
        "server_error",
    ] = Field(description="The kind of error.")
    code: str = Field(description="A word for programs.", examples=["model_not_found"])
    param: str | None = Field(
        description="The place in the body, with dots.", examples=["choices.1"]
    )


class ErrorAnswer(BaseModel):
    """The answer for an error, in OpenAI's shape."""

    error: ErrorDetails


def error_responses(model: type[BaseModel] = ErrorAnswer) -> dict[int | str, dict[str, Any]]:
    """Return the errors of a route for its argument `responses`.

    `create_app` gives them to all routes. A route with another shape overrides them.

    :param model: the shape of the body.
    """
    return {
        status: {"model": model, "description": meaning} for status, meaning in MEANINGS.items()
    }
