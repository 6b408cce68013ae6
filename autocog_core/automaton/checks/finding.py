"""A finding: an error or a warning, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from autocog_core.automaton.actions import Action
from autocog_core.errors import cut

if TYPE_CHECKING:
    pass


#: Faults that only the whole graph shows.
GRAPH_ERRORS = (
    "no path leads to it",
    "it is on a cycle without an end: give max_visits to an action of it",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault or a warning: what it is, and at which action.

    :ivar uid: the action's; None where it is of the whole.
    :ivar warning: whether the automaton runs all the same.
    """

    message: str
    where: str
    uid: str | None = None
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def finding(what: str, action: Action, *, warning: bool = False) -> Finding:
    """What was found at an action."""
    return Finding(what, f'action "{cut(str(action.uid))}"', action.uid, warning)


def place_of(vocab: str) -> str:
    """What a finding calls one of the automaton's sets."""
    return f'vocab "{cut(vocab)}"'
