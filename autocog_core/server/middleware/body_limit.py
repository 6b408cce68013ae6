"""A limit of the size of bodies, and of the time in which they arrive."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autocog_core.server.error_answers import error_response
from autocog_core.server.request_errors import Problem


class BodyLimit:
    """Reads the whole body before the app runs; refuses what is too large or too slow.

    :param app: what answers.
    :param size: bytes of a body.
    :param seconds: time in which it must arrive.
    """

    def __init__(self, app: ASGIApp, size: int, seconds: float) -> None:
        self._app = app
        self._size = size
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request once its body is there."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        problem = None
        if _declared_size(scope) > self._size:
            problem = self._too_large()
        else:
            try:
                async with asyncio.timeout(self._seconds):
                    while problem is None:
                        message = await receive()
                        if message["type"] == "http.disconnect":
                            return
                        body += message.get("body", b"")
                        if len(body) > self._size:
                            problem = self._too_large()
                        if not message.get("more_body", False):
                            break
            except TimeoutError:
                text = f"the body did not arrive within {self._seconds:g} seconds"
                problem = Problem(408, text, "timeout")
        if problem is not None:
            # What is left of the body is not read: the connection ends.
            response = error_response(scope["path"], problem, {"Connection": "close"})
            await response(scope, receive, send)
            return
        await self._app(scope, _replay(bytes(body), receive), send)

    def _too_large(self) -> Problem:
        return Problem(
            413, f"the body has more than {self._size:,} bytes; send less", "body_too_large"
        )


def _declared_size(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            # Longer numbers take Python a long time.
            return int(value[:20])
    return 0


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the whole body once, and then what comes after it."""
    is_read = False

    async def replay() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
