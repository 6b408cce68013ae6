"""Errors of requests: what a client reads, and with which status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autocog_core.errors import (
    AutocogError,
    CapabilityError,
    ClosedError,
    ContextOverflowError,
    InputError,
    append_hint,
)


class RequestError(Exception):
    """A request that is refused.

    :param message: what is wrong and what to do.
    :param status: the HTTP status.
    :param code: a word for programs, such as "model_not_found".
    :param parameter: the place in the body, with dots: "questions.team.criteria".
    :param headers: headers of the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str = "invalid_request",
        parameter: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.problem = Problem(status, message, code, parameter)
        self.headers = headers or {}


@dataclass(frozen=True)
class Problem:
    """What is wrong with a request, in no protocol's shape yet.

    :ivar status: the HTTP status.
    :ivar message: what is wrong and what to do.
    :ivar code: a word for programs.
    :ivar parameter: the place in the body, with dots.
    :ivar details: of a body that is not valid: place, message and type of each error.
    """

    status: int
    message: str
    code: str
    parameter: str | None = None
    details: tuple[dict[str, Any], ...] = ()

    @property
    def kind(self) -> str:
        """The kind of error in OpenAI's and TypeSafe's words, such as "authentication_error"."""
        kinds = {401: "authentication_error", 404: "not_found_error"}
        kinds |= {429: "rate_limit_error", 413: "request_too_large"}
        if self.status in kinds:
            return kinds[self.status]
        return "server_error" if self.status >= 500 else "invalid_request_error"


def problem_of(error: Exception) -> Problem:
    """Return what a client reads about an error.

    What the client can correct is an error of the request (4xx). All others are errors of the
    server: their texts may name files or quote a prompt, so the client gets a sentence.

    :param error: the error.
    """
    if isinstance(error, RequestError):
        return error.problem
    if isinstance(error, ContextOverflowError):
        return Problem(400, _text(error), "context_length_exceeded")
    if isinstance(error, InputError):
        return Problem(400, _text(error), "invalid_request", error.where or None)
    if isinstance(error, CapabilityError):
        return Problem(400, _text(error), "not_supported")
    if isinstance(error, ClosedError):
        return Problem(503, "the server is shutting down", "unavailable")
    if isinstance(error, AutocogError):
        text = "the model had an error; the server's log says which"
        return Problem(500, text, type(error).__name__)
    return Problem(500, "the server had an error; its log says which", "server_error")


def _text(error: AutocogError) -> str:
    text = f"{error.where}: {error.message}" if error.where else error.message
    return append_hint(text, error.hint)
