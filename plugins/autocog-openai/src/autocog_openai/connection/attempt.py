"""Requests that a server may not support."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from autocog_core import AutocogError, CapabilityError, InputError
from autocog_openai.connection.errors import (
    InternalServerError,
    MalformedAnswerError,
    NotFoundError,
    RefusedError,
)

Result = TypeVar("Result")


def attempt(
    send: Callable[[], Result], refusals: list[AutocogError] | None = None
) -> Result | None:
    """Return the answer to a request; None if the server does not support it.

    :param send: sends the request.
    :param refusals: receives the error if the server refused the request, and did not fail.
    :raises AutocogError: for what may pass, a refused key, and a redirect. Nothing follows from it.
    """
    try:
        try:
            return send()
        except MalformedAnswerError as error:
            if not error.retryable:
                raise
            # Try again: an answer may be damaged on its way, a proxy's page stays the same.
            return send()
    except (InputError, CapabilityError, NotFoundError, RefusedError) as error:
        if refusals is not None:
            refusals.append(error)
        return None
    except (InternalServerError, MalformedAnswerError) as error:
        if not error.retryable:
            raise
        return None
