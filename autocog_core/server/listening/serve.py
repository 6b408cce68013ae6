"""Running the app until a signal ends it."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from autocog_core.config.server_config import MAX_HEADER_BYTES, ServerConfig
from autocog_core.errors import ConfigError
from autocog_core.server.listening.connection import connection_class
from autocog_core.server.listening.uvicorn_server import Server


def serve_app(
    app: FastAPI,
    config: ServerConfig,
    on_listening: Callable[[str], None],
    on_ending: Callable[[int], None],
) -> None:
    """Answer requests until SIGINT or SIGTERM; then answer what is under way, and return.

    :param app: the app.
    :param config: the settings.
    :param on_listening: called with the server's URL once it listens.
    :param on_ending: called with the number of requests that are under way when the server stops.
    :raises ConfigError: if the address cannot be used.
    """
    with listen(config) as listener:
        on_listening(url_of(listener))
        server = make_server(app, config)
        server.on_ending = on_ending
        server.run([listener])


def make_server(app: FastAPI, config: ServerConfig) -> Server:
    """Return what answers requests; its `run` takes the sockets, and `should_exit` ends it.

    :param app: the app.
    :param config: the settings.
    """
    return Server(
        uvicorn.Config(
            app,
            http=connection_class(config.limits),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_graceful_shutdown=max(1, math.ceil(config.limits.shutdown_seconds)),
        )
    )


def listen(config: ServerConfig) -> socket.socket:
    """Return a socket that listens: from then on, connections wait for the server.

    :param config: the settings.
    :raises ConfigError: if the address cannot be used.
    """
    where = f"{config.host}:{config.port}"
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM
        )
        listener = socket.create_server(address[:2], family=family, backlog=2048)
        # Its connections inherit it. asyncio sets it for sockets that name the protocol only, and
        # without it an answer's body waits 40 ms for the confirmation of its headers.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, UnicodeError) as error:
        # UnicodeError: a text that can be no name of a host.
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"cannot listen: {reason}", where=where, hint="take another --port or --host"
        ) from None


def url_of(listener: socket.socket) -> str:
    """Return the URL of a server.

    :param listener: the socket on which it listens.
    """
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
