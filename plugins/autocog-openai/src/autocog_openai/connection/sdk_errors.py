"""Translation of the SDK's exceptions: autocog's types, with a hint and `retryable`."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
from pydantic_core import from_json

from autocog_core import ConfigError, ContextOverflowError, EngineError, InputError
from autocog_core.toolkit import redact, shorten
from autocog_openai.connection.answer_errors import ERROR_IN_BODY, status_of
from autocog_openai.connection.constraint_forms import FIELDS
from autocog_openai.connection.errors import (
    AccessDeniedError,
    ConnectionFailedError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    RefusedError,
    RequestTimeoutError,
    UnsupportedError,
    malformed_answer_error,
)
from autocog_openai.connection.refused_parameters import is_refusal, refused_parameter

_OVERFLOW = re.compile(
    r"context.{0,20}(length|size|window)|maximum.{0,30}tokens|exceed.{0,40}(context|n_ctx)", re.I
)
_UNSUPPORTED_CODES = (
    *("unsupported_parameter", "unsupported_value", "unknown_parameter"),
    # That of `autocog serve`.
    "not_supported",
)
#: Parameters that change every answer, so that they are never left out.
_NEVER_OMITTED = ("logit_bias", *FIELDS)
_MAX_MESSAGE = 500
#: Lists and objects inside each other in an error's body.
_MAX_DEPTH = 50


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
    except (openai.APIConnectionError, httpx2.RequestError) as error:
        raise _connection_error(error, where) from error
    except openai.APIStatusError as error:
        raise _error_of_status(error, where) from error
    except openai.APIError as error:
        raise error_of_event(error.body or error.message, where) from error
    except openai.OpenAIError as error:
        raise ConfigError(str(error), where=where) from error


def error_of_event(error: Any, where: str) -> Exception:
    """Return the error for an event of a stream that reports one.

    :param error: the object or the message in the event.
    :param where: the model and the server.
    """
    message = _shorten(_message_in(error))
    status = status_of(error)
    if status is not None and (status < 500 or status == 429):
        return _error(status, error, message, where, sent=())
    # The server had accepted the request.
    return EngineError(f"the server aborted the answer: {message}", where=where, retryable=True)


@contextmanager
def _redact_sdk_errors() -> Iterator[None]:
    """Remove secrets from the SDK's errors: a server may repeat what it received."""
    try:
        yield
    except openai.OpenAIError as error:
        error.args = tuple(redact(arg) if isinstance(arg, str) else arg for arg in error.args)
        if isinstance(error, openai.APIError):
            error.message = redact(error.message)
            error.body = _redact_data(error.body)
        raise


def _redact_data(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return redact(value)
    if depth == _MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {redact(str(key)): _redact_data(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_redact_data(each, depth + 1) for each in value]
    return value


def _connection_error(error: Exception, where: str) -> EngineError:
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        if not isinstance(cause, Exception) or cause in causes:
            break
        causes.append(cause)
    if isinstance(error.__cause__ or error, httpx2.DecodingError):
        return malformed_answer_error(where, error.__cause__ or error)
    hint, retryable = "check that the server is running and that base_url is right", True
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        hint = "if the server has its own certificate, set SSL_CERT_FILE to a file with it"
        retryable = False
    elif any(isinstance(cause, httpx2.ProxyError) for cause in causes):
        hint = "check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, or name the server in NO_PROXY"
    return ConnectionFailedError(
        f"no connection, or connection lost: {error.__cause__ or error}",
        where=where,
        hint=hint,
        retryable=retryable,
    )


def _error_of_status(error: openai.APIStatusError, where: str) -> Exception:
    status = error.status_code
    in_body = error.response.extensions.get(ERROR_IN_BODY)
    if in_body is None:
        body = _without_detail(error.body)
        message = _shorten(_message_in(body) or error.message)
        if status == 501 or (status == 500 and is_refusal(message)):
            sent = _sent(error.request)
            fields: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
            name = refused_parameter(_message_in(body), fields.get("param"), sent)
            return _unsupported(f"{status}: {message}", where, name)
        if status == 500:
            hint = "see the server's log"
            return InternalServerError(
                f"{status}: {message}", where=where, hint=hint, retryable=True
            )
        return _error(status, body, f"{status}: {message}", where, _sent(error.request))
    body = _redact_data(in_body)
    message = _shorten(redact(_message_in(body)))
    if status_of(in_body) is not None:
        message = f"{status}: {message}"
    return _error(status, body, message, where, _sent(error.request))


def _error(status: int, body: Any, message: str, where: str, sent: tuple[str, ...]) -> Exception:
    """Return the error of a status.

    :param body: the error in the server's answer.
    :param message: the server's message.
    :param sent: the names of the request's parameters.
    """
    fields: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    code, parameter = fields.get("code"), fields.get("param")
    if status == 401:
        hint = 'check api_key, for example api_key = "env:NAME"'
        return AccessDeniedError(message, where=where, hint=hint)
    if status == 403:
        return AccessDeniedError(message, where=where, hint="check the permissions of the key")
    if status == 402:
        return RateLimitError(message, where=where, hint="the account has no credit left")
    if status == 429:
        if code == "insufficient_quota":
            return RateLimitError(message, where=where, hint="the account has no credit left")
        hint = "lower max_concurrency, or raise max_retries"
        return RateLimitError(message, where=where, hint=hint, retryable=True)
    if status >= 500 or status in (408, 409, 425):
        return EngineError(message, where=where, hint="see the server's log", retryable=True)
    if code == "content_filter":
        return RefusedError(message, where=where)
    if code == "context_length_exceeded" or (status in (400, 413) and _OVERFLOW.search(message)):
        return ContextOverflowError(message, where=where, hint="shorten the prompt")
    if code in _UNSUPPORTED_CODES:
        return _unsupported(message, where, parameter)
    if status in (400, 422) and (name := refused_parameter(_message_in(body), parameter, sent)):
        return _unsupported(message, where, name)
    if status == 404:
        hint = "check model, and that base_url ends with /v1"
        return NotFoundError(message, where=where, hint=hint)
    return InputError(message, where=where)


def _unsupported(message: str, where: str, parameter: Any) -> UnsupportedError:
    error = UnsupportedError(message, where=where)
    if isinstance(parameter, str) and parameter not in _NEVER_OMITTED:
        error.parameter = parameter
    return error


def _sent(request: httpx2.Request) -> tuple[str, ...]:
    """Return the names of a request's parameters."""
    try:
        body = from_json(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return ()
    return tuple(body) if isinstance(body, dict) else ()


def _without_detail(body: Any) -> Any:
    """Return the error in a body of System One, which is in `detail`, with its kind as the code."""
    detail = body.get("detail") if isinstance(body, Mapping) else None
    if not isinstance(detail, Mapping):
        return body
    return {"code": detail.get("error_type"), **detail}


def _message_in(body: Any) -> str:
    """Return the server's message, on one line."""
    message = body
    if isinstance(body, Mapping):
        message = body.get("message") or body.get("detail") or body.get("error") or body
    if isinstance(message, list):
        message = "; ".join(map(_message_of_field, message))
    return " ".join(str(message or "").split())


def _message_of_field(entry: Any) -> str:
    """Return the message about one field of the body, with its place."""
    if not isinstance(entry, Mapping) or "msg" not in entry:
        return str(entry)
    place = entry.get("loc")
    parts = [str(part) for part in place if part != "body"] if isinstance(place, list) else []
    return f"{'.'.join(parts)}: {entry['msg']}" if parts else str(entry["msg"])


def _shorten(message: str) -> str:
    return shorten(message, _MAX_MESSAGE)
