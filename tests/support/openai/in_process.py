"""Servers that answer without a network: thousands of requests take seconds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp, Message

from tests.support.openai.mutations import mutate_body, numbers_in


class InProcess:
    """Answers all requests of the plugin by an ASGI application, mutated if a seed says so.

    :param app: the server.
    :ivar share: how many of the answers are mutated, from 0 to 1.
    :ivar numbers: all log-probabilities and probabilities of the answers since `start`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.share = 0.0
        self.numbers: set[float] = set()
        self._random = random.Random(0)

    def start(self, seed: int, share: float) -> None:
        """Mutate from now on."""
        self._random, self.share = random.Random(seed), share
        self.numbers.clear()

    def stop(self) -> None:
        """Answer unchanged from now on."""
        self.share = 0.0

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer to a request."""
        status, headers, body = asyncio.run(self._ask(request))
        if self._random.random() < self.share:
            body = mutate_body(body, self._random)
        self.numbers.update(numbers_in(body))
        headers = [(name, value) for name, value in headers if name != b"content-length"]
        # A response without its body read, as from the network.
        stream = httpx2.ByteStream(body)
        return httpx2.Response(status, headers=headers, stream=stream)

    async def _ask(self, request: httpx2.Request) -> tuple[int, Any, bytes]:
        sent: list[Message] = []
        scope = {
            "type": "http",
            "method": request.method,
            "path": request.url.path,
            "raw_path": request.url.raw_path,
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "http_version": "1.1",
            "server": ("server", 80),
            "client": ("client", 1),
            "scheme": "http",
            "root_path": "",
        }
        content = request.read()

        is_received = False

        async def receive() -> Message:
            nonlocal is_received
            if is_received:
                # Nobody disconnects: this waits until the answer is complete.
                await asyncio.Event().wait()
            is_received = True
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], sent[0]["headers"], body


@contextmanager
def in_process(app: ASGIApp) -> Iterator[InProcess]:
    """Let the plugin's clients reach `app` at any address, without a network."""
    server = InProcess(app)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            httpx2.HTTPTransport, "handle_request", lambda self, request: server.handle(request)
        )
        yield server
