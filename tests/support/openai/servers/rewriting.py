"""An ASGI application before a server, that changes the JSON in the server's answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.openai.servers.whole_answer import whole_answer

#: Returns the changed JSON of an answer or of one event of a stream.
Change = Callable[[Any], Any]


class Rewriting:
    """Changes the answers to POST requests.

    :ivar change: the change; None leaves the answers as they are.
    :ivar instead: a response that replaces the server's.
    :ivar sent: the JSON values of the changed answers.
    """

    def __init__(self, app: ASGIApp, change: Change | None = None) -> None:
        self.app = app
        self.change = change
        self.instead: Response | None = None
        self.sent: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
        elif self.instead is not None:
            await self.instead(scope, receive, send)
        elif self.change is None:
            await self.app(scope, receive, send)
        else:
            await self._answer_changed(scope, receive, send)

    async def _answer_changed(self, scope: Scope, receive: Receive, send: Send) -> None:
        start, body = await whole_answer(self.app, scope, receive)
        if start["status"] == 200:
            body = self._changed(body)
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _changed(self, body: bytes) -> bytes:
        if not body.startswith((b"data:", b"event:")):
            return self._rewritten(body)
        marker = b"data: "
        return b"\n".join(
            marker + self._rewritten(line.removeprefix(marker))
            if line.startswith(marker) and b"[DONE]" not in line
            else line
            for line in body.split(b"\n")
        )

    def _rewritten(self, raw: bytes) -> bytes:
        assert self.change is not None
        value = self.change(json.loads(raw))
        self.sent.append(value)
        return json.dumps(value).encode()


def change_everywhere(names: Collection[str], value: Any) -> Change:
    """Return a change that puts `value` into each field of one of these names.

    A field with a list or an object of numbers keeps its form: the numbers are replaced.
    """

    def replaced(old: Any) -> Any:
        if isinstance(old, dict) and all(map(_is_number, old.values())):
            return dict.fromkeys(old, value)
        if isinstance(old, list) and old and all(map(_is_number, old)):
            return [value] * len(old)
        # SGLang's entries: log-probability, id, text.
        if isinstance(old, list) and len(old) == 3 and type(old[1]) is int:
            return [value, *old[1:]]
        return [replaced(item) for item in old] if isinstance(old, list) else value

    def change(node: Any, inside: str = "") -> Any:
        if isinstance(node, dict):
            return {
                name: replaced(item)
                if name in names and not _has_entries(item)
                else change(item, name)
                for name, item in node.items()
            }
        return [change(item, inside) for item in node] if isinstance(node, list) else node

    return change


def make_certain(node: Any) -> Any:
    """Return an answer with 0 for what was written and -9999 for all other tokens."""
    if isinstance(node, list):
        return [make_certain(item) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {name: make_certain(item) for name, item in node.items()}
    if "top_logprobs" in node and "token" in node:
        # Greedy decoding writes the first one.
        tops = [
            {**top, "logprob": -9999.0 if index else 0.0}
            for index, top in enumerate(node["top_logprobs"])
        ]
        return {**changed, "logprob": 0.0, "top_logprobs": tops}
    if "token_logprobs" in node:
        listings = [
            {name: 0.0 if name == written else -9999.0 for name in listed}
            for written, listed in zip(node["tokens"], node["top_logprobs"], strict=True)
        ]
        values = [0.0 for _ in node["tokens"]]
        return {**changed, "token_logprobs": values, "top_logprobs": listings}
    return changed


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _has_entries(value: Any) -> bool:
    """Whether a field contains entries with their own fields, as in chat answers."""
    items = value if isinstance(value, list) else []
    return any(isinstance(item, dict) and "token" in item for item in items)
