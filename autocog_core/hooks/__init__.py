"""The contract between core and a backend: the hook specifications, and their client."""

from __future__ import annotations

from autocog_core.hooks.automaton_run import AutomatonRun, Budget, Declined
from autocog_core.hooks.client import BackendClient
from autocog_core.hooks.retry import RetryPolicy
from autocog_core.hooks.specs import CONTRACT_VERSION, hookimpl

__all__ = [
    "CONTRACT_VERSION",
    "AutomatonRun",
    "BackendClient",
    "Budget",
    "Declined",
    "RetryPolicy",
    "hookimpl",
]
