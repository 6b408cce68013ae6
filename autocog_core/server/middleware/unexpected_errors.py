"""Answers for errors that no route expects, and for requests that the end of the server stops."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autocog_core.server.error_answers import error_response
from autocog_core.server.error_log import logged_problem
from autocog_core.server.request_errors import Problem


class UnexpectedErrors:
    """Answers 500 for an error that no route expects, and 503 if the server ends.

    :param app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens."""
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
            problem = logged_problem(error, scope.get("autocog.request", ""))
            if is_started:
                # The client has a part of an answer: the connection ends.
                raise
        else:
            return
        headers = {"Connection": "close"} if problem.status == 503 else None
        await error_response(scope["path"], problem, headers)(scope, receive, send)
