"""A small HTTP proxy that sends everything to one server, and a server with TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.openai.servers.raw import Answer, RawRequest, RawServer, raw_serving

#: Signed by itself, for server.test, localhost and 127.0.0.1. Nothing but tests uses its key.
CERTIFICATES = Path(__file__).parents[1] / "certificates"
CERTIFICATE, KEY = CERTIFICATES / "server.pem", CERTIFICATES / "server.key.pem"


@contextmanager
def proxying(server: RawServer) -> Iterator[RawServer]:
    """Serve a proxy. All hosts are `server`: names need not exist."""
    port = int(server.url.rpartition(":")[2])

    def relay(sock: socket.socket, request: RawRequest) -> None:
        with socket.create_connection(("127.0.0.1", port)) as inner:
            if request.method == "CONNECT":
                sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                thread = threading.Thread(target=copy, args=(sock, inner), daemon=True)
                thread.start()
            else:
                path = "/" + request.target.split("/", 3)[3]
                lines = [f"{name}: {value}" for name, value in request.headers.items()]
                top = [f"{request.method} {path} HTTP/1.1", *lines, "", ""]
                inner.sendall("\r\n".join(top).encode() + request.body)
            copy(inner, sock)

    with raw_serving(relay) as proxy:
        yield proxy


def copy(source: socket.socket, target: socket.socket) -> None:
    """Send on what comes, until the end."""
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def tls_serving(answer: Answer) -> Iterator[RawServer]:
    """As `raw_serving`, with TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    with raw_serving(answer, tls=context) as server:
        server.url = server.url.replace("http:", "https:")
        yield server
