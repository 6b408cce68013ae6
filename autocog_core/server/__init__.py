"""`autocog serve`: models behind HTTP."""

from __future__ import annotations
