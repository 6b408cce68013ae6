"""Translation of the SDK's exceptions: autocog's types, with a hint and `retryable`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai

from autocog_core import CapabilityError, ConfigError, ContextOverflowError, EngineError, InputError
from autocog_core.toolkit import redact, shorten

_OVERFLOW = re.compile(
    r"context.{0,20}(length|size|window)|maximum.{0,30}tokens|exceed.{0,40}(context|n_ctx)", re.I
)
_UNSUPPORTED_CODES = ("unsupported_parameter", "unsupported_value", "unknown_parameter")
_MAX_MESSAGE = 500


class RateLimitError(EngineError):
    """The server accepts no more requests for now."""


class RequestTimeoutError(EngineError):
    """The server did not answer in time."""


class ConnectionFailedError(EngineError):
    """The server cannot be reached, or the connection was lost during an answer."""


class MalformedAnswerError(EngineError):
    """The server's answer does not follow its interface."""


class RefusedError(EngineError):
    """The model or a content filter refused to answer."""


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


@contextmanager
def translate_sdk_errors(where: str) -> Iterator[None]:
    """Raise the SDK's errors as autocog's, with the original as the cause.

    :param where: the model and the server.
    :raises AutocogError: of the type that fits.
    """
    try:
        with _redact_sdk_errors():
            yield
    except (openai.APITimeoutError, httpx2.TimeoutException) as error:
        raise RequestTimeoutError(
            "the server did not answer in time",
            where=where,
            hint="raise timeout, or lower max_concurrency",
            retryable=True,
        ) from error
    except (openai.APIConnectionError, httpx2.TransportError) as error:
        raise ConnectionFailedError(
            f"no connection, or connection lost: {error.__cause__ or error}",
            where=where,
            hint="check that the server is running and that base_url is right",
            retryable=True,
        ) from error
    except openai.APIStatusError as error:
        raise _error_of_status(error, where) from error
    except openai.APIError as error:
        # An error event inside a stream.
        raise EngineError(
            f"the server aborted the answer: {error.message}", where=where, retryable=True
        ) from error
    except openai.OpenAIError as error:
        raise ConfigError(str(error), where=where) from error


@contextmanager
def _redact_sdk_errors() -> Iterator[None]:
    """Remove secrets from the SDK's errors: a server may repeat what it received."""
    try:
        yield
    except openai.OpenAIError as error:
        error.args = tuple(redact(arg) if isinstance(arg, str) else arg for arg in error.args)
        if isinstance(error, openai.APIError):
            error.message = redact(error.message)
            if error.body is not None:
                error.body = json.loads(redact(json.dumps(error.body)))
        raise


def _error_of_status(error: openai.APIStatusError, where: str) -> Exception:
    status = error.status_code
    message = f"{status}: {_server_message(error)}"
    body: Any = error.body if isinstance(error.body, dict) else {}
    code = body.get("code")
    if status == 401:
        hint = 'check api_key, for example api_key = "env:NAME"'
        return ConfigError(message, where=where, hint=hint)
    if status == 403:
        return ConfigError(message, where=where, hint="check the permissions of the key")
    if status == 429:
        if code == "insufficient_quota":
            return RateLimitError(message, where=where, hint="the account has no credit left")
        hint = "lower max_concurrency, or raise max_retries"
        return RateLimitError(message, where=where, hint=hint, retryable=True)
    if status >= 500 or status in (408, 409):
        return EngineError(message, where=where, hint="see the server's log", retryable=True)
    if code == "content_filter":
        return RefusedError(message, where=where)
    if code == "context_length_exceeded" or (status in (400, 413) and _OVERFLOW.search(message)):
        return ContextOverflowError(message, where=where, hint="shorten the prompt")
    if code in _UNSUPPORTED_CODES:
        unsupported = UnsupportedError(message, where=where)
        unsupported.parameter = body.get("param")
        return unsupported
    if status == 404:
        hint = "check model, and that base_url ends with /v1"
        return ConfigError(message, where=where, hint=hint)
    return InputError(message, where=where)


def _server_message(error: openai.APIStatusError) -> str:
    """Return the server's message, shortened, on one line."""
    body: Any = error.body
    message: object = body
    if isinstance(body, dict):
        message = body.get("message") or body.get("detail") or body.get("error") or body
    text = " ".join(str(message or error.message).split())
    return shorten(text, _MAX_MESSAGE)
