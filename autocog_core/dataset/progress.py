"""How far a run over many rows is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a run over a file.

    :ivar done: rows in the output.
    :ivar resumed: rows of an earlier run among them.
    :ivar total: rows in the output at the end of the run.
    :ivar errors: rows of this run with an error.
    :ivar answered: rows of this run with an answer and a right one to compare it with.
    :ivar right: rows among these whose answer is right.
    """

    done: int
    resumed: int = 0
    total: int
    errors: int
    answered: int = 0
    right: int = 0
