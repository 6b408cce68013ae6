"""A finding: an error or a warning about an automaton, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from autocog_core.automaton.actions import Action
from autocog_core.errors import shorten

FindingCode = Literal[
    "", "unknown_vocab", "reserved_input", "unreachable", "unbounded_cycle", "unset_field"
]

#: Codes of the errors that depend on the whole graph.
GRAPH_ERRORS: frozenset[FindingCode] = frozenset({"unreachable", "unbounded_cycle", "unset_field"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """An error or a warning about an automaton.

    :ivar message: what is wrong, and how to correct it.
    :ivar where: the action, or another part of the automaton, for people.
    :ivar uid: the action's uid; None if the finding is not about an action.
    :ivar warning: whether the automaton runs nevertheless.
    :ivar code: an identifier of the kind of error, if code depends on the kind.
    """

    message: str
    where: str
    uid: str | None = None
    warning: bool = False
    code: FindingCode = ""

    @classmethod
    def at_action(
        cls, message: str, action: Action, *, warning: bool = False, code: FindingCode = ""
    ) -> Self:
        """Return a finding about an action.

        :param message: what is wrong, and how to correct it.
        :param action: the action that it is about.
        :param warning: whether the automaton runs nevertheless.
        :param code: an identifier of the kind of error.
        """
        return cls(
            message=message,
            where=f'action "{shorten(str(action.uid))}"',
            uid=action.uid,
            warning=warning,
            code=code,
        )

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def vocab_label(name: str) -> str:
    """Return the `where` of a finding about one of the automaton's sets of tokens."""
    return f'vocab "{shorten(name)}"'
