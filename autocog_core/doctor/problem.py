"""What does not work, and what mends it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from autocog_core.errors import AutocogError
from autocog_core.redaction import redact


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something does not work.

    :ivar what: the reason, a clause. `mend`: what to do about it, often a command; may be empty.
    """

    what: str
    fix: str = ""

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
            return cls(error.message, error.hint)
        return cls(f"{where}: {error.message}", error.hint)


def plain(value: Any) -> Any:
    """`value` made of dicts, lists, texts and numbers; what JSON does not know becomes text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {_key(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    return redact(str(value))


def _key(key: object) -> str:
    """A name of ours, which is no secret even where somebody's secret is the same word."""
    text = str(key)
    return text if text.isidentifier() else redact(text)
