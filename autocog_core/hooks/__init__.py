"""The contract between core and a backend: hook specifications, and the client that calls them."""

from __future__ import annotations

from autocog_core.hooks.automaton_run import Budget, Declined, WholeRun
from autocog_core.hooks.client import Caller
from autocog_core.hooks.retry import RetryPolicy
from autocog_core.hooks.specs import CONTRACT_VERSION, hookimpl

__all__ = [
    "CONTRACT_VERSION",
    "Budget",
    "Caller",
    "Declined",
    "RetryPolicy",
    "WholeRun",
    "hookimpl",
]
