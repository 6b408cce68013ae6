"""An ASGI application between a client and a server that injects faults into answers."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.support.openai.servers.whole_answer import whole_answer

#: Statuses that replace an answer.
STATUSES = {"429": 429, "429 retry-after": 429, "500": 500, "503": 503}
#: Changes of an answer's bytes.
CHANGES = ("invalid json", "truncated json", "wrong ids", "missing fields")
#: The number of pieces of a slow answer, about.
PIECES = 20
KINDS = (*STATUSES, "slow", "cut", *CHANGES)

#: Added to a token's id: no vocabulary is as large.
FAR_OUTSIDE = 10_000_000
ID_LISTS = ("tokens", "token_ids", "prompt_token_ids", "output_ids")
#: What a client reads first: one of these is removed.
ESSENTIAL = (
    "choices",
    "output",
    "answers",
    "meta_info",
    "text",
    "tokens",
    "prompt",
    "data",
    "response",
)


class Faults:
    """Injects faults into a share of the requests. A stream with a fault is sent as a whole.

    :param share: of the requests, from 0 to 1.
    :param seed: the same seed does the same to the same sequence of requests.
    :param kinds: the kinds that may happen, with equal probability.
    :param retry_after: seconds in the header `retry-after` of a 429.
    :param slow: seconds that a slow answer takes at least.
    :param spare: prefixes of paths without faults.
    :ivar enabled: False lets everything through.
    :ivar injected: how often each kind happened.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        share: float = 0.3,
        seed: int = 0,
        kinds: Sequence[str] = KINDS,
        retry_after: float = 0.05,
        slow: float = 0.2,
        spare: tuple[str, ...] = (),
    ) -> None:
        unknown = set(kinds) - set(KINDS)
        if unknown:
            raise ValueError(f"no such kinds of fault: {sorted(unknown)}")
        self.app = app
        self.share = share
        self.kinds = tuple(kinds)
        self.retry_after = retry_after
        self.slow = slow
        self.spare = spare
        self.enabled = True
        self.requests = 0
        self.injected: Counter[str] = Counter()
        self._random = random.Random(seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.requests += 1
        kind = self._kind(scope["path"])
        if kind is None:
            await self.app(scope, receive, send)
        elif kind in STATUSES:
            self.injected[kind] += 1
            await self._instead(kind)(scope, receive, send)
        else:
            start, body = await whole_answer(self.app, scope, receive)
            await self._send_changed(kind, start, body, send)

    def _kind(self, path: str) -> str | None:
        if not self.enabled or path.startswith(self.spare):
            return None
        # Both are drawn for each request, so that requests do not depend on each other.
        happens, kind = self._random.random() < self.share, self._random.choice(self.kinds)
        return kind if happens else None

    def _instead(self, kind: str) -> JSONResponse:
        status = STATUSES[kind]
        message = {429: "Rate limit reached", 500: "The server had an error", 503: "Overloaded"}
        error = {"message": message[status], "type": "server_error", "param": None, "code": None}
        headers = {"retry-after": str(self.retry_after)} if "retry-after" in kind else None
        return JSONResponse({"error": error}, status_code=status, headers=headers)

    async def _send_changed(self, kind: str, start: Message, body: bytes, send: Send) -> None:
        if kind in CHANGES:
            changed = _changed(kind, body)
            self.injected[kind] += changed != body
            body = changed
        else:
            self.injected[kind] += 1
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        # A stream has no length: the connection marks its end.
        if any(name == b"content-length" for name, _ in start["headers"]):
            headers.append((b"content-length", str(len(body)).encode()))
        await send({**start, "headers": headers})
        if kind == "cut":
            await send(_part(body[: len(body) // 2], more=True))
            # Returning before the end makes the HTTP server close the connection.
            return
        if kind == "slow":
            step = max(1, len(body) // PIECES)
            for place in range(0, len(body), step):
                await send(_part(body[place : place + step], more=True))
                await asyncio.sleep(self.slow / PIECES)
            body = b""
        await send(_part(body, more=False))


def _part(body: bytes, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


def _changed(kind: str, body: bytes) -> bytes:
    if kind == "truncated json":
        # Inside an object: between two events of a stream, what is left would be valid.
        return body[: body.rfind(b"{", 0, len(body) // 2) + 1]
    if kind == "invalid json":
        return body.replace(b":", b"=", 3) if not _is_stream(body) else body.replace(b"{", b"<", 1)
    change = _with_wrong_ids if kind == "wrong ids" else _without_essentials
    if not _is_stream(body):
        return _rewritten(body, change)
    lines = body.split(b"\n")
    marker = b"data: "
    return b"\n".join(
        marker + _rewritten(line.removeprefix(marker), change) if line.startswith(marker) else line
        for line in lines
    )


def _is_stream(body: bytes) -> bool:
    return body.startswith((b"data:", b"event:"))


def _rewritten(raw: bytes, change: Callable[[Any], Any]) -> bytes:
    try:
        value = json.loads(raw)
    except ValueError:
        return raw
    changed = change(value)
    return raw if changed == value else json.dumps(changed).encode()


def _without_essentials(value: Any) -> Any:
    if isinstance(value, list):
        return value[:-1]
    found = next((name for name in ESSENTIAL if name in value), None)
    return {name: each for name, each in value.items() if name != found}


def _with_wrong_ids(value: Any, inside: str = "") -> Any:
    """Return the value with every token id moved out of the vocabulary."""
    if isinstance(value, dict):
        keyed = inside == "prompt_logprobs"
        return {
            str(int(name) + FAR_OUTSIDE) if keyed and name.isdigit() else _wrong_name(name): (
                _with_wrong_ids(each, name)
            )
            for name, each in value.items()
        }
    if isinstance(value, list):
        # SGLang's entries: log-probability, id, text.
        if inside.endswith("logprobs") and len(value) == 3 and type(value[1]) is int:
            return [value[0], value[1] + FAR_OUTSIDE, value[2]]
        ids = inside in ID_LISTS
        return [
            each + FAR_OUTSIDE if ids and type(each) is int else _with_wrong_ids(each, inside)
            for each in value
        ]
    return _wrong_name(value) if isinstance(value, str) else value


def _wrong_name(name: str) -> str:
    number = name.removeprefix("token_id:")
    if number == name or not number.isdigit():
        return name
    return f"token_id:{int(number) + FAR_OUTSIDE}"
