"""Checks of constrained texts that a backend wrote by itself: servers may ignore a constraint."""

from __future__ import annotations

from dataclasses import replace

from autocog_core.constraints.language import check_constraint, matches
from autocog_core.errors import EngineError, InputError, shorten
from autocog_core.types.completion import Completion
from autocog_core.types.constraint import Constraint


def require_usable(constraint: Constraint) -> None:
    """Reject a constraint before a backend receives it.

    :raises InputError: if it cannot be read, or no text can meet it.
    """
    if reason := check_constraint(constraint):
        raise InputError(reason, where=constraint.kind)


def with_checked_texts(completion: Completion, constraint: Constraint, where: str) -> Completion:
    """Return a completion whose texts meet a constraint, or are marked as incomplete.

    JSON may have any blanks between its parts: these are up to the backend.

    :param completion: what the backend returned.
    :param constraint: what its text, and those of its alternatives, must be.
    :param where: the model, for error messages.
    :raises EngineError: for a text that has ended, and does not meet the constraint.
    """
    alternatives = tuple(
        with_checked_texts(alternative, constraint, where)
        for alternative in completion.alternatives
    )
    completion = replace(completion, alternatives=alternatives)
    if matches(constraint, completion.text, any_blanks=True):
        return completion
    if completion.finish_reason in ("length", "incomplete", "unknown"):
        return replace(completion, finish_reason="incomplete")
    raise EngineError(
        f"the text {shorten(completion.text)!r} does not meet its {constraint.kind}: "
        "the engine did not obey it",
        where=where,
        hint="a server obeyed simpler ones when it was probed: write this one in another way",
    )
