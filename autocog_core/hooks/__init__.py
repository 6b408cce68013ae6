"""The contract between core and a backend: the hook specifications, and their client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autocog_core.lazy import lazy_names

if TYPE_CHECKING:
    from autocog_core.hooks.automaton_run import AutomatonRun, Budget, Declined
    from autocog_core.hooks.client import BackendClient
    from autocog_core.hooks.retry import RetryPolicy
    from autocog_core.hooks.specs import CONTRACT_VERSION, hookimpl
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "autocog_core.hooks.automaton_run": ("AutomatonRun", "Budget", "Declined"),
            "autocog_core.hooks.client": ("BackendClient",),
            "autocog_core.hooks.retry": ("RetryPolicy",),
            "autocog_core.hooks.specs": ("CONTRACT_VERSION", "hookimpl"),
        },
    )

__all__ = [
    "CONTRACT_VERSION",
    "AutomatonRun",
    "BackendClient",
    "Budget",
    "Declined",
    "RetryPolicy",
    "hookimpl",
]
