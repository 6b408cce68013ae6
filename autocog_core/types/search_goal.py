"""How many of the best choices are wanted, and when the search for them may stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autocog_core.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchGoal:
    """How many of the best choices are wanted, and how much of the tree to read for them.

    :ivar top: the number of best choices.
    :ivar within: read on until no `prob_bounds` of them is wider than this; None for not.
    :ivar at_least: read on until it is certain whether the best choice has at least this
        probability; None for not.
    """

    top: int = 1
    within: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        if not is_number_of_best(self.top):
            raise InputError(f"got {self.top!r}", where="top", hint="a whole number from 1")
        for name in ("within", "at_least"):
            value = getattr(self, name)
            if value is None:
                continue
            if not _is_share(value):
                raise InputError(f"got {value!r}", where=name, hint="a probability from 0 to 1")
            # A number of numpy would make `is_at_least` one of numpy, too.
            object.__setattr__(self, name, float(value))


def is_number_of_best(value: Any) -> bool:
    """Return whether a value can be a number of best choices: a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
