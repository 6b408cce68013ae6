"""Limits of the size of bodies, one and all together, and of the time in which they arrive."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autocog_core.config.server_config import ServerLimits
from autocog_core.server.admission import RETRY_AFTER
from autocog_core.server.error_answers import error_response
from autocog_core.server.request_errors import Problem

#: All requests together may hold as many bytes as so many bodies of the largest size.
MAX_LARGEST_BODIES = 16


class BodyLimit:
    """Reads the whole body before the app runs; refuses what is too large or too slow.

    The rest of a refused body is read and dropped by the connection, so that clients that send all
    before they read get the answer.

    :param app: what answers.
    :param limits: the limits of the server.
    """

    def __init__(self, app: ASGIApp, limits: ServerLimits) -> None:
        self._app = app
        self._size = limits.body_bytes
        self._seconds = limits.body_seconds
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request once its body is there."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body()
        try:
            problem = await self._read(scope, receive, body)
            if problem is None:
                await self._app(scope, _replay(body, receive), send)
            elif problem is not _GONE:
                await error_response(scope["path"], problem, _headers(problem))(
                    scope, receive, send
                )
        finally:
            self._held -= body.size

    async def _read(self, scope: Scope, receive: Receive, body: _Body) -> Problem | None:
        """Read a body, and return what is wrong with it."""
        if _declared_size(scope) > self._size:
            return self._too_large()
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return _GONE
                    part = message.get("body", b"")
                    body.content += part
                    body.size += len(part)
                    self._held += len(part)
                    if body.size > self._size:
                        return self._too_large()
                    if self._held > self._size * MAX_LARGEST_BODIES:
                        text = "too many large bodies arrive at one time; come again later"
                        return Problem(429, text, "too_many_requests")
                    if not message.get("more_body", False):
                        return None
        except TimeoutError:
            return Problem(
                408, f"the body did not arrive within {self._seconds:g} seconds", "timeout"
            )

    def _too_large(self) -> Problem:
        return Problem(
            413, f"the body has more than {self._size:,} bytes; send less", "body_too_large"
        )


@dataclass
class _Body:
    """A body that arrives in parts."""

    content: bytearray = field(default_factory=bytearray)
    size: int = 0
    is_read: bool = False


#: Nobody reads an answer.
_GONE = Problem(499, "the client is gone", "client_gone")


def _headers(problem: Problem) -> dict[str, str]:
    if problem.status == 429:
        return {"Retry-After": str(RETRY_AFTER)}
    return {"Connection": "close"} if problem.status == 408 else {}


def _declared_size(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            # Longer numbers take Python a long time.
            return int(value[:20])
    return 0


def _replay(body: _Body, receive: Receive) -> Receive:
    """Return a `receive` that gives the whole body once, and then what comes after it."""

    async def replay() -> Message:
        if body.is_read:
            return await receive()
        body.is_read = True
        whole = bytes(body.content)
        body.content.clear()
        return {"type": "http.request", "body": whole, "more_body": False}

    return replay
