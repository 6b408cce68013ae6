"""Values of tables and data frames as JSON values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, time
from typing import Any

import numpy as np

#: Types of pandas that stand for a missing value, and compare with nothing.
_MISSING_TYPES = ("NAType", "NaTType")
_TOO_DEEP = "(nested too deeply to be kept)"


def plain_values(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the values of a row as JSON values, by column."""
    return {
        name if type(name) is str else str(name): value if type(value) is str else to_plain(value)
        for name, value in values.items()
    }


def to_plain(value: Any) -> Any:
    """Return a value as JSON has it.

    Missing values (NaN, infinity, pandas' NA and NaT) become None, dates become ISO text, bytes
    become text, and scalars and arrays of NumPy become Python's.

    :param value: a value of a file, a data frame or a caller.
    """
    try:
        return _to_plain(value)
    except RecursionError:
        return _TOO_DEEP


def _to_plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.generic | np.ndarray):
        return _numpy_to_plain(value)
    if isinstance(value, Mapping):
        return {str(name): _to_plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_to_plain(entry) for entry in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    if type(value).__name__ in _MISSING_TYPES:
        return None
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def _numpy_to_plain(value: np.generic | np.ndarray[Any, Any]) -> Any:
    if isinstance(value, np.datetime64 | np.timedelta64):
        # Nanoseconds would become a bare integer.
        return None if np.isnat(value) else str(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "mM":
        return [_to_plain(entry) for entry in value]
    if isinstance(value, np.floating) and np.isfinite(value):
        # The shortest number that rounds to it: 0.1, not 0.10000000149.
        return float(str(value))
    return _to_plain(value.tolist())
