"""Requests that a server may not support."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from autocog_core import CapabilityError, ConfigError, EngineError, InputError
from autocog_openai.connection.errors import (
    ConnectionFailedError,
    MalformedAnswerError,
    RateLimitError,
    RequestTimeoutError,
)

Result = TypeVar("Result")


def attempt(send: Callable[[], Result]) -> Result | None:
    """Return the answer to a request; None if the server does not support it.

    :param send: sends the request.
    :raises AutocogError: for temporary failures and a refused key.
    """
    try:
        try:
            return send()
        except MalformedAnswerError:
            # Try again: an answer may be damaged on its way, a proxy's page stays the same.
            return send()
    except (RateLimitError, RequestTimeoutError, ConnectionFailedError):
        raise
    except ConfigError as error:
        if error.message.startswith(("401", "403")):
            raise
        return None
    except (InputError, CapabilityError):
        return None
    except EngineError as error:
        if error.message.startswith(("502", "503", "504")):
            raise
        return None
