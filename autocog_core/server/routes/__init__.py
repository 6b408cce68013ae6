"""One file for each route, or for routes that go together."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from fastapi import APIRouter

#: The modules with a `router`, in the order of the documentation.
_MODULES = (
    "choose",
    "score",
    "records",
    "runs",
    "system_one",
    "decisions",
    "completions",
    "chat_completions",
    "tokens",
    "token_bytes",
    "token_trees",
    "vocabulary",
    "models",
    "health",
    "page",
    "api_page",
)


def all_routers() -> Sequence[APIRouter]:
    """Return the routes of all modules."""
    return [import_module(f"{__name__}.{name}").router for name in _MODULES]
