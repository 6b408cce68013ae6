"""`autocog serve`: models behind HTTP."""

from __future__ import annotations

#: The logger of the access log: each of its messages is a line of JSON.
ACCESS_LOGGER = "autocog.access"
