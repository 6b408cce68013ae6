"""Running the app until a signal ends it."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from autocog_core.config.server_config import ServerConfig
from autocog_core.errors import ConfigError

#: Bytes of the first line and the headers of a request.
HEADER_BYTES = 64 * 1024


def serve_app(app: FastAPI, config: ServerConfig, on_listening: Callable[[str], None]) -> None:
    """Answer requests until SIGINT or SIGTERM; then answer what is under way, and return.

    :param app: the app.
    :param config: the settings.
    :param on_listening: called with the server's URL once it listens.
    :raises ConfigError: if the address cannot be used.
    """
    listener = _listen(config)
    host, port = listener.getsockname()[:2]
    with listener:
        on_listening(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        uvicorn.Server(
            uvicorn.Config(
                app,
                http="h11",
                log_config=None,
                access_log=False,
                server_header=False,
                h11_max_incomplete_event_size=HEADER_BYTES,
                timeout_graceful_shutdown=max(1, int(config.limits.shutdown_seconds)),
            )
        ).run([listener])


def _listen(config: ServerConfig) -> socket.socket:
    """Return a socket that listens: from then on, connections wait for the server."""
    where = f"{config.host}:{config.port}"
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM
        )
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(
            f"cannot listen: {error.strerror or error}", where=where, hint="take another --port"
        ) from None
