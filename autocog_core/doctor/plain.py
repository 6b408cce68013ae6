"""Facts as plain data for JSON, with every known secret taken out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from autocog_core.secrets import redact


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
