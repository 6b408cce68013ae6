"""JSON of all answers: no infinity, no NaN, and no text that is not Unicode."""

from __future__ import annotations

import json
import math
from typing import Any

from starlette.responses import JSONResponse


class JsonAnswer(JSONResponse):
    """An answer in JSON. Numbers that JSON does not have become null.

    A log-probability of minus infinity, for instance, is the log-probability of what is impossible.
    All other numbers keep every bit.
    """

    def render(self, content: Any) -> bytes:
        """Return the JSON of plain data."""
        try:
            text = _dump(content)
        except ValueError:
            text = _dump(_finite(content))
        # Half of a surrogate pair, which texts from JSON may have, is not Unicode.
        return text.encode("utf-8", errors="replace")


def _dump(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
