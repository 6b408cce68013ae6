"""Search for the smallest text that still shows a problem."""

from __future__ import annotations

from collections.abc import Callable

#: Each try calls the model.
MAX_TRIES = 200


def shrink(text: str, fails: Callable[[str], bool]) -> str:
    """Return a part of `text` that still fails, the smallest one found in `MAX_TRIES` tries.

    :param fails: whether a text shows the problem; true for `text`.
    """
    tries = 0
    length = max(1, len(text) // 2)
    while length and tries < MAX_TRIES:
        for start in range(0, len(text) - length + 1, max(1, length // 2)):
            part = text[start : start + length]
            tries += 1
            if len(part) < len(text) and fails(part):
                text, length = part, max(1, len(part) // 2)
                break
            if tries >= MAX_TRIES:
                break
        else:
            length = length // 2 if length > 1 else 0
            continue
        if len(text) == 1:
            break
    return text
