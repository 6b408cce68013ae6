"""Values of choices: what a choice means, beside the text that the model scores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

#: What a field of a result holds: a text, a number or a boolean.
Value = str | int | float | bool


def value_text(value: Any) -> str:
    """Return a value as text: anything but a text as in JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def default_value(text: str) -> str:
    """Return the value of a choice without one: its text without the blanks around it.

    A text of blanks alone is its own value.
    """
    return text.strip() or text


def default_values(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the values of different choices that have none, which differ too.

    Choices that differ only in the blanks around them keep their texts.
    """
    values = tuple(map(default_value, texts))
    counts = Counter(values)
    if len(counts) == len(values):
        return values
    return tuple(
        value if counts[value] == 1 else text for text, value in zip(texts, values, strict=True)
    )
