"""What identifies the values that all rows of a run have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

#: Characters of a value that is recorded as it is; of longer ones, the digest is.
_MAX_SHOWN = 80


def values_identity(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by name; long ones as the SHA-256 of their JSON."""
    return {name: _identity(value) for name, value in sorted(values.items())}


def _identity(value: Any) -> Any:
    text = json.dumps(value, sort_keys=True)
    return value if len(text) <= _MAX_SHOWN else hashlib.sha256(text.encode()).hexdigest()
