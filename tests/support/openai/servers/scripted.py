"""An ASGI application before a server, that gives prepared answers in place of the server's."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: An answer: a response, or an application that handles the request.
Instead = Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]
Answer = Response | Instead


class Scripted:
    """Lets requests through, but for those that an answer waits for.

    :ivar answers: sent in order, to requests of `method`.
    :ivar answered: how many answers were sent.
    """

    def __init__(self, app: ASGIApp, method: str = "POST") -> None:
        self.app = app
        self.method = method
        self.answers: deque[Answer] = deque()
        self.answered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != self.method or not self.answers:
            await self.app(scope, receive, send)
            return
        answer = self.answers.popleft()
        self.answered += 1
        if isinstance(answer, Response):
            await answer(scope, receive, send)
        else:
            await answer(self.app, scope, receive, send)


def refusal(status: int, message: str = "no", **more: Any) -> Response:
    """An error in OpenAI's shape; `headers` are those of the response."""
    headers = more.pop("headers", None)
    body = {"message": message, "type": "some_error", "param": None, "code": None, **more}
    return JSONResponse({"error": body}, status_code=status, headers=headers)


async def echo_key(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """A careless server's error, which shows what it was sent."""
    sent = Request(scope).headers.get("authorization")
    await refusal(400, f"bad header: Authorization: {sent}")(scope, receive, send)


def cut_after(count: int) -> Instead:
    """The server's own answer, cut after so many pieces of its body."""

    async def answer(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        left = count

        async def passed(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.body":
                if left <= 0:
                    return
                left -= 1
                message = {**message, "more_body": True}
            await send(message)

        await app(scope, receive, passed)

    return answer


def ended_after(count: int) -> Instead:
    """The server's own answer, ended in good order after so many pieces of its body."""

    async def answer(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await cut_after(count)(app, scope, receive, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return answer
