"""Requests byte by byte, as no client library sends them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

JSON = {"Content-Type": "application/json"}


@contextmanager
def connection(url: str) -> Iterator[socket.socket]:
    """Connect to a server; nothing may take longer than 20 seconds."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as sock:
        yield sock


def head(method: str, path: str, headers: Mapping[str, str] | None = None) -> bytes:
    """Return the first line and the headers of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def post(path: str, body: Any) -> bytes:
    """Return a whole request with a body in JSON."""
    content = json.dumps(body).encode()
    return head("POST", path, {**JSON, "Content-Length": str(len(content))}) + content


def read_answer(sock: socket.socket) -> tuple[int, Any]:
    """Return the status of the next answer, and its body."""
    text = b""
    while b"\r\n\r\n" not in text:
        part = sock.recv(65536)
        assert part, f"the connection ended after {text!r}"
        text += part
    top, _, body = text.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in top.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        part = sock.recv(length - len(body))
        assert part, f"the connection ended after {len(body)} of {length} bytes"
        body += part
    return int(top.split()[1]), json.loads(body[:length])


def seconds_until_end(sock: socket.socket) -> float:
    """Read until the server ends the connection, and return how long it took."""
    begin = time.monotonic()
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - begin
