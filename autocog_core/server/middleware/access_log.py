"""The access log: one line of JSON for each request, and the counters."""

from __future__ import annotations

import json
import logging
import time
import uuid
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autocog_core.redaction import redact
from autocog_core.server import ACCESS_LOGGER
from autocog_core.server.metrics import ServerMetrics

logger = logging.getLogger(ACCESS_LOGGER)
#: Characters of a body in the log.
MAX_SHOWN = 10_000


class AccessLog:
    """Writes a line for each request, without prompts unless asked, and counts it.

    Each answer has its request's id in `x-request-id`. The lines go to the logger `autocog.access`.

    :param app: what answers.
    :param metrics: the counters.
    :param log_prompts: whether the body of a request is written, too.
    """

    def __init__(self, app: ASGIApp, metrics: ServerMetrics, log_prompts: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._log_prompts = log_prompts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, count it, and write its line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        request_id = uuid.uuid4().hex
        # Other layers may change it.
        method = scope["method"]
        scope["autocog.request"] = request_id
        status = 499
        body = bytearray()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                ids = [(name, request_id.encode()) for name in _ID_HEADERS]
                message = {**message, "headers": [*message.get("headers", ()), *ids]}
            await send(message)

        async def listen() -> Message:
            message = await receive()
            if self._log_prompts and len(body) < MAX_SHOWN:
                body.extend(message.get("body", b"")[:MAX_SHOWN])
            return message

        try:
            await self._app(scope, listen, note)
        finally:
            seconds = time.perf_counter() - begin
            self._metrics.count_request(_route(scope), status, seconds)
            if logger.isEnabledFor(logging.INFO):
                line = _describe(scope, method, status, seconds)
                if self._log_prompts:
                    line["body"] = body[:MAX_SHOWN].decode("utf-8", errors="replace")
                # Escapes line ends, so that no request can write a line of its own.
                logger.info(redact(json.dumps(line, ensure_ascii=True)))


def _describe(scope: Scope, method: str, status: int, seconds: float) -> dict[str, Any]:
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "request": scope["autocog.request"],
        "client": (scope.get("client") or ("",))[0],
        "key": scope.get("autocog.key"),
        "method": method[:20],
        "path": scope["path"][:200],
        "model": scope.get("autocog.model"),
        "calls": scope.get("autocog.calls", 0),
        "status": status,
        "seconds": round(seconds, 4),
    }


_ID_HEADERS = (b"x-request-id", b"x-typesafe-request-id")


def _route(scope: Scope) -> str:
    """Return the route that answered; paths that clients make up count as one."""
    return getattr(scope.get("route"), "path", "other")
