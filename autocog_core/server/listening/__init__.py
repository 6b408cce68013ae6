"""The server on its port: connections, their limits, and signals."""

from __future__ import annotations

from autocog_core.server.listening.serve import listen, make_server, serve_app, url_of

__all__ = ["listen", "make_server", "serve_app", "url_of"]
