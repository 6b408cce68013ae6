"""Whole runs of automata, for engines that implement the hook `run_automata`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.hooks.client import BackendClient

#: Default limit of the nodes of a path. More take seconds and many megabytes.
MAX_PATH_NODES = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Limits of a run. At a limit, the run returns the tree so far.

    :ivar tokens: limit of tokens that the models evaluate; None for no limit.
    :ivar paths: limit of paths that the run starts, complete or not; None for no limit.
    :ivar seconds: limit of elapsed time; None for no limit. One call of a model is never cut.
    :ivar nodes: limit of the nodes of one path, those of texts and of all questions included.
    """

    tokens: int | None = None
    paths: int | None = None
    seconds: float | None = None
    nodes: int = MAX_PATH_NODES

    def exceeded(self, tokens: int, paths: int, seconds: float) -> str | None:
        """Return the name of the first limit that the given amounts reach; None if they reach none.

        :param tokens: tokens evaluated so far.
        :param paths: paths started so far.
        :param seconds: elapsed time.
        """
        for name, amount in (("tokens", tokens), ("paths", paths), ("seconds", seconds)):
            limit = getattr(self, name)
            if limit is not None and amount >= limit:
                return name
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class AutomatonRun:
    """A run of an automaton on one model, with exact scores.

    :ivar automaton: an automaton without errors and without templates, whose actions all run on
        the main model, and continue the text of their path (`context`).
    :ivar client: the client of the model.
    :ivar budget: the limits of the run.
    :ivar best_first: whether the likeliest path advances first, one at a time. Otherwise all open
        paths advance together.
    :ivar top: number of complete paths, with `best_first`: the run stops when they are proven to
        be the best. None evaluates all paths.
    :ivar provenance: the tree's `provenance`.
    """

    automaton: AutomatonGraph
    client: BackendClient
    budget: Budget
    best_first: bool
    top: int | None
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Declined:
    """An engine's answer to runs that it does not support. Core evaluates them.

    :ivar reason: what the engine does not support; the tree's provenance records it.
    """

    reason: str
