"""Runs that an engine takes over as a whole: nothing then comes between two of its evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.hooks.client import BackendClient


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of a run, which then ends with what it has; None is no limit.

    :ivar tokens: tokens evaluated by the models. `paths`: paths begun, complete or not.
    :ivar seconds: time.
    """

    tokens: int | None = None
    paths: int | None = None
    seconds: float | None = None

    def exceeded(self, tokens: int, paths: int, seconds: float) -> str | None:
        """Which limit is reached, if one is."""
        spent = {"tokens": tokens, "paths": paths, "seconds": seconds}
        limits = {"tokens": self.tokens, "paths": self.paths, "seconds": self.seconds}
        return next(
            (name for name, limit in limits.items() if limit is not None and spent[name] >= limit),
            None,
        )


@dataclass(frozen=True, slots=True)
class AutomatonRun:
    """What is to be run, by exact scores, on one model.

    :ivar automaton: sound, and without templates; no action names another model.
    :ivar best_first: the likeliest path first, one at a time; otherwise all together.
    :ivar top: with `best_first`: stop once this many complete paths are proven the best.
    :ivar provenance: of the tree.
    """

    automaton: AutomatonGraph
    client: BackendClient
    budget: Budget
    best_first: bool
    top: int | None
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Declined:
    """An engine's answer to runs that it leaves to core's evaluator.

    :ivar reason: what it cannot do; said in the tree.
    """

    reason: str
