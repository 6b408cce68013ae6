"""Servers on the loopback, and the log of their requests."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.support.openai.servers.engine import Engine


@dataclass
class Request:
    """One request as it arrived.

    :ivar body: the JSON in it; None where there was none.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: Any = None


@dataclass
class Log:
    """The requests of a server, in the order of arrival.

    :ivar in_flight: requests that are being answered now, streams until their last byte.
    :ivar most_in_flight: the most there were at once.
    """

    requests: list[Request] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    @property
    def paths(self) -> list[str]:
        """The path of every request."""
        return [request.path for request in self.requests]

    def bodies(self, path: str) -> list[Any]:
        """The bodies of the requests to `path`."""
        return [request.body for request in self.requests if request.path == path]

    def clear(self) -> None:
        """Forget the requests, and the most that were in flight."""
        self.requests.clear()
        self.most_in_flight = self.in_flight


class Recorder:
    """ASGI middleware that writes the log."""

    def __init__(self, app: ASGIApp, log: Log) -> None:
        self.app = app
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        raw, body = b"", True
        while body:
            message = await receive()
            raw += message.get("body", b"")
            body = message.get("more_body", False)
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        request = Request(scope["method"], scope["path"], headers, _parsed(raw))
        is_received = False

        async def again() -> Message:
            nonlocal is_received
            if is_received:
                return await receive()
            is_received = True
            return {"type": "http.request", "body": raw, "more_body": False}

        log = self.log
        log.requests.append(request)
        log.in_flight += 1
        log.most_in_flight = max(log.most_in_flight, log.in_flight)
        try:
            await self.app(scope, again, send)
        finally:
            log.in_flight -= 1


class ModelServer(Starlette):
    """A dialect over an engine.

    :ivar log: its requests.
    """

    def __init__(self, engine: Engine, routes: Sequence[BaseRoute], **options: Any) -> None:
        self.engine = engine
        self.log = Log()
        recorder = Middleware(Recorder, log=self.log)
        super().__init__(routes=routes, middleware=[recorder], **options)


class _Server(uvicorn.Server):
    async def main_loop(self) -> None:
        """As it is, but looking ten times as often whether it is to end."""
        while not await self.on_tick(0):
            await asyncio.sleep(0.01)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As it is, but waiting for nobody."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for task in list(self.server_state.tasks):
            task.cancel()


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve `app` on a free port of the loopback; gives its URL, without a slash at the end."""
    # Only where the protocol is named does asyncio switch Nagle's algorithm off, which costs 40 ms
    # an answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1, access_log=False
    )
    server = _Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None
