"""Names and texts in messages: short, whatever a file holds, and found in bounded time."""

from __future__ import annotations

from collections.abc import Collection

from autocog_core.errors import did_you_mean

#: Names that are compared with an unknown one, and characters of names and texts in messages.
_MOST_NAMES = 1_000
_SHOWN = 80


def cut(text: str) -> str:
    """As much of a name or a text as a message has room for."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def suggestion(name: str, names: Collection[str]) -> str:
    """Which of the names may be meant, or what they are; nothing where they are too many."""
    if len(names) > _MOST_NAMES:
        return ""
    hint = did_you_mean(cut(name), [each for each in names if len(each) <= _SHOWN])
    return hint if len(hint) <= 4 * _SHOWN else f"{hint[: 4 * _SHOWN]}..."


def with_hint(what: str, hint: str) -> str:
    """What is wrong, and what was perhaps meant."""
    return f"{what}: {hint}" if hint else what
