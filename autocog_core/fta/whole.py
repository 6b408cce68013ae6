"""Runs that an engine takes over as a whole: nothing then comes between two of its evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autocog_core.caller import Caller
from autocog_core.errors import AutocogError, ContractError
from autocog_core.fta.automaton import Automaton
from autocog_core.fta.budget import Budget
from autocog_core.ftt import ThoughtTree


@dataclass(frozen=True, slots=True)
class WholeRun:
    """What is to be run, by exact scores, on one model.

    :ivar automaton: sound, and without templates; no action names another model.
    :ivar best_first: the likeliest path first, one at a time; otherwise all together.
    :ivar top: with `best_first`: stop once this many complete paths are proven the best.
    :ivar header: of the tree.
    """

    automaton: Automaton
    caller: Caller
    budget: Budget
    best_first: bool
    top: int | None
    header: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Declined:
    """An engine's answer to runs that it leaves to core's evaluator.

    :ivar why: what it cannot do; said in the tree.
    """

    why: str


def take_over(runs: Sequence[WholeRun]) -> Sequence[ThoughtTree | AutocogError] | Declined | None:
    """What the engine makes of runs on one model, one result a run; None: it does not do that.

    Wrappers that watch each evaluation would miss them: with one of these, core evaluates.
    """
    caller = runs[0].caller
    if not caller.offers_evaluate:
        return None
    if caller.watched:
        return Declined("a wrapper watches each evaluation")
    found = caller.evaluate(runs)
    if found is not None and not isinstance(found, Declined) and len(found) != len(runs):
        raise ContractError(
            f"evaluate: {len(found)} answers for {len(runs)} runs", where=caller.who
        )
    return found
