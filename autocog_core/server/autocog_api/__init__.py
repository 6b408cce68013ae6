"""The bodies and answers of autocog's own routes."""

from __future__ import annotations
