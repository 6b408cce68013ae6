"""A problem that the doctor reports: what is wrong, where, and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from autocog_core.errors import AutocogError
from autocog_core.redaction import redact


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why something does not work.

    :ivar message: the reason, a clause without a full stop.
    :ivar where: the file, plugin or model that the reason is about, if the error names it.
    :ivar fix: what to do about it, often a command; may be empty.
    """

    message: str
    where: str = ""
    fix: str = ""

    @classmethod
    def from_error(cls, error: Exception) -> Self:
        """Return the problem that an exception describes."""
        if isinstance(error, AutocogError):
            return cls(message=error.message, where=error.where, fix=error.hint)
        return cls(message=redact(f"{type(error).__name__}: {error}"))
