"""From the SDK's exceptions to autocog's: what went wrong, and whether to try again."""

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
_UNSUPPORTED = ("unsupported_parameter", "unsupported_value", "unknown_parameter")


class RateLimitError(EngineError):
    """The server takes no more requests for now."""


class RequestTimeoutError(EngineError):
    """The server did not answer in time."""


class ConnectionFailedError(EngineError):
    """The server could not be reached, or was lost in the middle of an answer."""


class MalformedAnswerError(EngineError):
    """The server answered with something that its interface does not know."""


def malformed(where: str, error: object) -> MalformedAnswerError:
    """An answer that lacks what the interface promises."""
    shown = repr(error) if isinstance(error, BaseException) else str(error)
    return MalformedAnswerError(
        f"the server's answer is not what its interface promises ({shown})",
        where=where,
        hint="is server right? give reprobe = true after an upgrade",
        retryable=True,
    )


class RefusedError(EngineError):
    """The model, or a filter around it, refused to answer."""


class UnsupportedError(CapabilityError):
    """The server knows the request, but not one of its parameters.

    :ivar parameter: its name, where the server tells.
    """

    parameter: str | None = None


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise the SDK's errors as autocog's; the cause is kept."""
    try:
        with _without_secrets():
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
            f"no connection, or lost: {error.__cause__ or error}",
            where=where,
            hint="is the server running, and base_url right?",
            retryable=True,
        ) from error
    except openai.APIStatusError as error:
        raise _of_status(error, where) from error
    except openai.APIError as error:
        # An error that comes as an event in the middle of a stream.
        raise EngineError(
            f"the server broke off: {error.message}", where=where, retryable=True
        ) from error
    except openai.OpenAIError as error:
        raise ConfigError(str(error), where=where) from error


@contextmanager
def _without_secrets() -> Iterator[None]:
    """Take secrets out of the SDK's errors too: a server may say what it was sent."""
    try:
        yield
    except openai.OpenAIError as error:
        error.args = tuple(redact(each) if isinstance(each, str) else each for each in error.args)
        if isinstance(error, openai.APIError):
            error.message = redact(error.message)
            if error.body is not None:
                error.body = json.loads(redact(json.dumps(error.body)))
        raise


def _of_status(error: openai.APIStatusError, where: str) -> Exception:
    status = error.status_code
    what = f"{status}: {message_of(error)}"
    body: Any = error.body if isinstance(error.body, dict) else {}
    code, parameter = body.get("code"), body.get("param")
    if status == 401:
        return ConfigError(what, where=where, hint='is api_key right? give api_key = "env:NAME"')
    if status == 403:
        return ConfigError(what, where=where, hint="does the key have this right?")
    if status == 429:
        if code == "insufficient_quota":
            return RateLimitError(what, where=where, hint="the account has no credit left")
        return RateLimitError(
            what, where=where, hint="lower max_concurrency, or raise max_retries", retryable=True
        )
    if status >= 500 or status in (408, 409):
        return EngineError(what, where=where, hint="see the server's log", retryable=True)
    if code == "content_filter":
        return RefusedError(what, where=where)
    if code == "context_length_exceeded" or (status in (400, 413) and _OVERFLOW.search(what)):
        return ContextOverflowError(what, where=where, hint="shorten the prompt")
    if code in _UNSUPPORTED:
        unsupported = UnsupportedError(what, where=where)
        unsupported.parameter = parameter
        return unsupported
    if status == 404:
        return ConfigError(what, where=where, hint="is model right, and base_url with its /v1?")
    return InputError(what, where=where)


def message_of(error: openai.APIStatusError) -> str:
    """What the server says is wrong, on one line and not too long."""
    body: Any = error.body
    found: object = body
    if isinstance(body, dict):
        found = body.get("message") or body.get("detail") or body.get("error") or body
    text = " ".join(str(found or error.message).split())
    return shorten(text, 500)
