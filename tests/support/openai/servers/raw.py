"""A server of bytes: each request is answered by a function that writes to the socket."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class RawRequest:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as data; None if there is none."""
        return json.loads(self.body) if self.body else None


#: Writes the answer; the connection is closed when it returns.
Answer = Callable[[socket.socket, RawRequest], None]


@dataclass
class RawServer:
    """What a server received.

    :ivar url: its address.
    :ivar answer: what answers, for the next request.
    :ivar requests: all requests.
    :ivar is_stopped: answers without an end look at it.
    """

    url: str
    answer: Answer
    requests: list[RawRequest] = field(default_factory=list)
    is_stopped: bool = False


def head(status: int = 200, kind: str = "application/json", **headers: object) -> bytes:
    """The head of an answer that ends with the connection."""
    lines = [f"HTTP/1.1 {status} Status", f"content-type: {kind}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def whole(body: object, status: int = 200, kind: str = "application/json", **more: Any) -> Answer:
    """An answer with a complete body: bytes, or data as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(sock: socket.socket, request: RawRequest) -> None:
        sock.sendall(head(status, kind, content_length=len(content), **more) + content)

    return answer


def dripping(start: bytes, piece: bytes, seconds: float, server: Callable[[], RawServer]) -> Answer:
    """An answer that never ends: `piece` again and again, every `seconds`."""

    def answer(sock: socket.socket, request: RawRequest) -> None:
        sock.sendall(start)
        while not server().is_stopped:
            sock.sendall(piece)
            if seconds:
                time.sleep(seconds)

    return answer


@contextmanager
def raw_serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """Serve on a free port of the loopback."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    server = RawServer(f"http://127.0.0.1:{listener.getsockname()[1]}", answer)

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(sock,), daemon=True).start()

    def handle(sock: socket.socket) -> None:
        # A client may leave at any time.
        with suppress(OSError), tls.wrap_socket(sock, server_side=True) if tls else sock as sock:
            sock.settimeout(10)
            request = read_request(sock)
            if request is not None:
                server.requests.append(request)
                server.answer(sock, request)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.is_stopped = True
        # Wakes the thread that accepts.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)


def read_request(sock: socket.socket) -> RawRequest | None:
    """Read one request; None if the client left."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        part = sock.recv(65536)
        if not part:
            return None
        raw += part
    top, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    while len(body) < int(headers.get("content-length", 0)):
        body += sock.recv(65536)
    return RawRequest(method, target, headers, body)
