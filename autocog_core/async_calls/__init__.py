"""Calls of models from asyncio: what waits together is evaluated together."""

from __future__ import annotations

from autocog_core.async_calls.async_model import AsyncModel
from autocog_core.async_calls.call import current_client

__all__ = ["AsyncModel", "current_client"]
