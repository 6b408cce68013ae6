"""The errors of servers, as autocog's types, with a hint and `retryable`."""

from __future__ import annotations

from autocog_core import CapabilityError, ConfigError, EngineError

#: What reading an answer raises if the answer has another form. JSON knows infinity: `int` fails.
SHAPE_ERRORS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


class RateLimitError(EngineError):
    """The server accepts no more requests for now."""


class RequestTimeoutError(EngineError):
    """The server did not answer in time."""


class ConnectionFailedError(EngineError):
    """The server cannot be reached, or the connection was lost during an answer."""


class MalformedAnswerError(EngineError):
    """The server's answer does not follow its interface."""


class InternalServerError(EngineError):
    """The server failed with status 500: some do at requests that they do not know."""


class RefusedError(EngineError):
    """The model or a content filter refused to answer."""


class AccessDeniedError(ConfigError):
    """The server does not accept the key, or not for this request."""


class NotFoundError(ConfigError):
    """The server does not have the route, or not the model on this route."""


class RedirectError(ConfigError):
    """The server redirects to another address, to which nothing is sent."""


class UnsupportedError(CapabilityError):
    """The server does not support one of the request's parameters.

    :ivar parameter: its name, if the server reports it.
    """

    parameter: str | None = None


def malformed_answer_error(where: str, cause: object) -> MalformedAnswerError:
    """Return the error for an answer that does not follow the interface.

    :param where: the model and the server.
    :param cause: an exception or a description of what is wrong.
    """
    text = repr(cause) if isinstance(cause, BaseException) else str(cause)
    return MalformedAnswerError(
        f"the server's answer does not follow its interface ({text})",
        where=where,
        hint="check the option server; after an upgrade set reprobe = true",
        retryable=True,
    )
