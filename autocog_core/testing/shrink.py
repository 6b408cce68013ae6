"""The smallest text that still shows what a text shows."""

from __future__ import annotations

from collections.abc import Callable

#: Tries at most, for each of them asks a model.
MAX_TRIES = 200


def shrink(text: str, fails: Callable[[str], bool]) -> str:
    """A part of `text` for which `fails` holds and of which no part tried did."""
    tried = 0
    length = max(1, len(text) // 2)
    while length and tried < MAX_TRIES:
        for start in range(0, len(text) - length + 1, max(1, length // 2)):
            part = text[start : start + length]
            tried += 1
            if len(part) < len(text) and fails(part):
                text, length = part, max(1, len(part) // 2)
                break
            if tried >= MAX_TRIES:
                break
        else:
            length = length // 2 if length > 1 else 0
            continue
        if len(text) == 1:
            break
    return text
