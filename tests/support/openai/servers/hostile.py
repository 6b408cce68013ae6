"""A chat server that answers in hostile ways, drawn by a seed."""

from __future__ import annotations

import gzip
import json
import random
import socket
import time
from typing import Any

from tests.support.openai.servers.raw import RawRequest, RawServer, head, whole

#: Small, so that answers beyond it come fast.
MAX_BYTES = 2**20
JSON_VALUES: list[Any] = [
    *(None, True, 0, -1, 1e308, "", "text", [], {}, [[]], {"message": None}),
    {"message": ["a", {"b": 1}], "code": {"c": 2}, "type": 7, "param": []},
    {"message": "no", "code": 429},
    {"message": "seed is not supported", "param": None},
    {"message": "n" * 10_000, "code": "x" * 10_000},
    {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
]
RAW_VALUES = [
    *(b"", b"{", b"nan", b"\xff\xfe", b"<html>busy</html>", b'{"choices": [}', b"data: {}\n\n"),
    *(b"[" * 5000, b'{"error":' * 500, b"[" * 500_000, b'{"a": 1e999999}', b"9" * 5000),
    b'{"error": "\\ud800"}',
]
STATUSES = (
    *(200, 201, 204, 206, 299, 300, 304, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 413),
    *(415, 418, 421, 422, 425, 429, 431, 451, 499, 500, 501, 502, 503, 504, 507, 520, 524, 529),
    *(599, 600, 999),
)
KINDS = ("application/json", "text/event-stream", "text/html", "application/x-ndjson", "", "\xff")
ERRORS = (b"data: ", b"event: error\ndata: ", b": ", b"error: ", b"id: 1\ndata:")


class Hostile:
    """Answers requests in ways drawn by a seed; before, it answers as a small chat server."""

    def __init__(self) -> None:
        self.random = random.Random(0)
        self.is_hostile = False
        self.elsewhere = ""
        self.server: RawServer

    def __call__(self, sock: socket.socket, request: RawRequest) -> None:
        if not self.is_hostile:
            good(sock, request)
            return
        attack = self.random.choice(ATTACKS)
        attack(self, sock, request)

    def drip(self, sock: socket.socket, start: bytes, piece: bytes, seconds: float) -> None:
        sock.sendall(start)
        while not self.server.is_stopped:
            sock.sendall(piece)
            time.sleep(seconds)


def good(sock: socket.socket, request: RawRequest) -> None:
    """A chat server without log-probabilities."""
    body = request.json or {}
    if request.target.endswith("/models"):
        whole({"data": [{"id": "m", "owned_by": "me"}]})(sock, request)
    elif "chat" not in request.target:
        whole({"error": {"message": "no such route"}}, status=404)(sock, request)
    elif body.get("stream"):
        sock.sendall(head(kind="text/event-stream") + STREAM)
    else:
        message = {"role": "assistant", "content": '{"choice": "yes"}'}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole({"choices": [choice]})(sock, request)


STREAM = b"".join(
    b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
    for choice in (
        {"index": 0, "delta": {"content": "yes"}},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    )
)


def cut(hostile: Hostile, sock: socket.socket, request: RawRequest) -> None:
    """A right answer that ends too early, anywhere."""
    recorder = Recorder()
    good(recorder, request)  # type: ignore[arg-type]
    sock.sendall(recorder.sent[: hostile.random.randrange(len(recorder.sent))])


class Recorder:
    """Keeps what a server would send."""

    def __init__(self) -> None:
        self.sent = b""

    def sendall(self, data: bytes) -> None:
        self.sent += data


def changed(hostile: Hostile, sock: socket.socket, request: RawRequest) -> None:
    """A right answer with some bytes changed."""
    recorder = Recorder()
    good(recorder, request)  # type: ignore[arg-type]
    answer = bytearray(recorder.sent)
    for _ in range(hostile.random.randint(1, 20)):
        answer[hostile.random.randrange(len(answer))] = hostile.random.randrange(256)
    sock.sendall(answer)


def of_any_shape(hostile: Hostile, sock: socket.socket, request: RawRequest) -> None:
    """Any status, type and body."""
    draw = hostile.random
    value = draw.choice(JSON_VALUES)
    body = draw.choice(
        [
            json.dumps(value).encode(),
            json.dumps({"error": value}).encode(),
            json.dumps({"error": value, "choices": draw.choice(JSON_VALUES)}).encode(),
            json.dumps({"choices": [{"error": value, "message": value}]}).encode(),
            json.dumps({"data": value, "response": {"error": value}}).encode(),
            draw.choice(RAW_VALUES),
        ]
    )
    kind = draw.choice(KINDS)
    if kind == "text/event-stream" and draw.random() < 0.8:
        body = b"".join(draw.choice(ERRORS) + body + b"\n\n" for _ in range(draw.randint(1, 3)))
    more: dict[str, Any] = {}
    if draw.random() < 0.2:
        more["content_encoding"] = draw.choice(["gzip", "deflate", "br", "gzip, gzip", "x", ""])
    if draw.random() < 0.2:
        more["retry_after"] = draw.choice(["0.01", "-1", "soon", "nan", "1e999"])
    whole(body, draw.choice(STATUSES), kind, **more)(sock, request)


def endless(hostile: Hostile, sock: socket.socket, request: RawRequest) -> None:
    """An answer that never ends."""
    start, piece = hostile.random.choice(
        [
            (b"", b"H"),
            (b"HTTP/1.1 200 OK\r\nx: ", b"a"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
            (head(), b" "),
            (head(429), b" "),
            (head(transfer_encoding="chunked"), b"1\r\n \r\n"),
            (head(kind="text/event-stream"), b": wait\n\n"),
            (head(kind="text/event-stream"), b'data: {"choices": []}\n\n'),
            (head(kind="text/event-stream"), b'data: {"choices": [{"delta": {}}]}\n\n'),
            (head(kind="text/event-stream"), b"data: a"),
        ]
    )
    hostile.drip(sock, start, piece, hostile.random.choice([0.001, 0.05]))


def large(hostile: Hostile, sock: socket.socket, request: RawRequest) -> None:
    """More than the bound."""
    kind = hostile.random.choice(KINDS[:3])
    if hostile.random.random() < 0.5:
        sock.sendall(head(kind=kind, content_encoding="gzip") + BOMB)
        return
    sock.sendall(head(kind=kind))
    for _ in range(3 * MAX_BYTES // 50_000):
        sock.sendall(b" " * 50_000)


BOMB = gzip.compress(b" " * (16 * MAX_BYTES))


def silent(hostile: Hostile, sock: socket.socket, request: RawRequest) -> None:
    """Nothing at all, for longer than the timeout."""
    while not hostile.server.is_stopped:
        time.sleep(0.05)


def redirects(hostile: Hostile, sock: socket.socket, request: RawRequest) -> None:
    """To another address, or in a circle."""
    location = hostile.random.choice(
        [
            hostile.elsewhere + request.target,
            hostile.elsewhere.replace("127.0.0.1", "localhost") + "/",
            hostile.elsewhere.removeprefix("http:"),
            hostile.elsewhere.replace("//", "//a:b@"),
            request.target,
            "/v1/models",
            "//",
            "https:",
            "http://[",
            "\xff",
        ]
    )
    status = hostile.random.choice([301, 302, 303, 307, 308])
    sock.sendall(head(status, location=location, content_length=0))


ATTACKS = (
    *(cut, cut, changed, changed, of_any_shape, of_any_shape, of_any_shape, of_any_shape),
    *(endless, large, silent, redirects, redirects),
)
