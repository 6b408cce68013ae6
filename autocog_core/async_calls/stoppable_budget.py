"""A budget that is also used up once nobody waits for the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Self

from autocog_core.async_calls.call import Call
from autocog_core.hooks.automaton_run import Budget


@dataclass(frozen=True, kw_only=True)
class StoppableBudget(Budget):
    """A budget that is also used up once nobody waits for the result.

    :ivar calls: the calls whose runs have this budget; it is used up once all are stopped.
    """

    calls: Sequence[Call] = field(repr=False, compare=False)

    @classmethod
    def of(cls, budget: Budget | None, calls: Sequence[Call]) -> Self:
        """Return a budget with the limits of another one.

        :param budget: its limits.
        :param calls: the calls.
        """
        return cls(**asdict(budget or Budget()), calls=calls)

    def exceeded(self, tokens: int, paths: int, seconds: float) -> str | None:
        """Return the name of the first limit that is reached; see `Budget.exceeded`."""
        if all(call.stopped.is_set() for call in self.calls):
            return "seconds"
        return Budget.exceeded(self, tokens, paths, seconds)
