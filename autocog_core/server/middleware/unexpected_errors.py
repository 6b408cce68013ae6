"""Answers for errors that no route expects, and for requests that the end of the server stops."""

from __future__ import annotations

import asyncio
import logging
import traceback

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autocog_core.server.error_answers import error_response
from autocog_core.server.request_errors import Problem

logger = logging.getLogger(__name__)


class UnexpectedErrors:
    """Answers 500 for an error that no route expects, and 503 if the server ends.

    The log has the kind of the error and its place in the code; its text, which may quote a prompt,
    is in the traceback, which the log has at its level DEBUG.

    :param app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_started = False

        async def note(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except asyncio.CancelledError:
            if is_started:
                raise
            problem = Problem(503, "the server is shutting down", "unavailable")
        except Exception as error:
            _log(scope, error)
            if is_started:
                # The answer cannot be changed any more: the connection ends.
                raise
            problem = Problem(500, "the server had an error; its log says which", "server_error")
        else:
            return
        headers = {"Connection": "close"} if problem.status == 503 else None
        await error_response(scope["path"], problem, headers)(scope, receive, send)


def _log(scope: Scope, error: Exception) -> None:
    innermost = traceback.extract_tb(error.__traceback__)[-1]
    logger.error(
        "request %s: %s in %s, line %s (--debug shows more)",
        scope.get("autocog.request", ""),
        type(error).__name__,
        innermost.filename,
        innermost.lineno,
    )
    logger.debug("request %s", scope.get("autocog.request", ""), exc_info=error)
