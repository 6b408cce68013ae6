"""The page at `/docs`: the routes of a server, made from its OpenAPI document."""

from __future__ import annotations
