"""A finding: an error or a warning about an automaton, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from autocog_core.advice.codes import WarningCode
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
    :ivar code: the code of a warning; of an error, an identifier if code depends on its kind.
    """

    message: str
    where: str
    uid: str | None = None
    warning: bool = False
    code: FindingCode | WarningCode = ""

    @classmethod
    def at_action(cls, message: str, action: Action, *, code: FindingCode = "") -> Self:
        """Return an error in an action.

        :param message: what is wrong, and how to correct it.
        :param action: the action that it is about.
        :param code: an identifier of the kind of error.
        """
        return cls(message=message, where=_action_label(action), uid=action.uid, code=code)

    @classmethod
    def warning_at(cls, code: WarningCode, message: str, action: Action) -> Self:
        """Return a warning about an action.

        :param code: the code of the warning.
        :param message: what is wrong, and how to correct it.
        :param action: the action that it is about.
        """
        return cls(
            message=message,
            where=_action_label(action),
            uid=action.uid,
            warning=True,
            code=code,
        )

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def _action_label(action: Action) -> str:
    return f'action "{shorten(str(action.uid))}"'


def vocab_label(name: str) -> str:
    """Return the `where` of a finding about one of the automaton's sets of tokens."""
    return f'vocab "{shorten(name)}"'
