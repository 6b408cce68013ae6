"""What does not work, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from autocog_core.errors import AutocogError
from autocog_core.secrets import redact


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something does not work.

    :ivar what: the reason, a clause. `mend`: what to do about it, often a command; may be empty.
    """

    what: str
    mend: str = ""

    @classmethod
    def of(cls, error: Exception, *known: str) -> Self:
        """The problem that `error` tells of.

        :param known: texts that name what is being reported on: a `where` that holds one of them
            is not said again.
        """
        if not isinstance(error, AutocogError):
            return cls(redact(f"{type(error).__name__}: {error}"))
        where = error.where
        if not where or any(redact(text) in where for text in known):
            return cls(error.what, error.hint)
        return cls(f"{where}: {error.what}", error.hint)
