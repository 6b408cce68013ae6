"""The app: all routes, and what every request passes through."""

from __future__ import annotations

from autocog_core.server.app.build import create_app

__all__ = ["create_app"]
