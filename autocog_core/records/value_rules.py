"""Whether constants of a schema agree with its other keys, and which constants are equal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

#: Keys that constants are checked by; with others, a list of constants is not split.
CHECKED_KEYS = frozenset(
    {
        *("type", "enum", "const", "minLength", "maxLength", "pattern"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    }
)


def type_names(value: Any) -> tuple[str, ...]:
    """Return the names of the JSON types that a value has."""
    match value:
        case None:
            return ("null",)
        case bool():
            return ("boolean",)
        case int():
            return ("integer", "number")
        case float():
            return ("integer", "number") if value.is_integer() else ("number",)
        case str():
            return ("string",)
        case Mapping():
            return ("object",)
        case _:
            return ("array",)


def identity(value: Any) -> str:
    """Return a text that is equal for values that JSON Schema holds for equal: 1 and 1.0."""

    def plain(part: Any) -> Any:
        if isinstance(part, float) and part.is_integer():
            return int(part)
        if isinstance(part, list):
            return [plain(entry) for entry in part]
        if isinstance(part, Mapping):
            return {key: plain(entry) for key, entry in part.items()}
        return part

    return json.dumps(plain(value), sort_keys=True)


def distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values without repetitions, in their order."""
    return tuple({identity(value): value for value in reversed(list(values))}.values())[::-1]


def conforms(value: Any, schema: Mapping[str, Any]) -> bool:
    """Return whether a constant is valid by the `CHECKED_KEYS` of a schema."""
    types = schema.get("type")
    if types is not None:
        names = types if isinstance(types, list) else [types]
        if not set(names) & set(type_names(value)):
            return False
    if "const" in schema and identity(schema["const"]) != identity(value):
        return False
    if "enum" in schema and identity(value) not in {identity(each) for each in schema["enum"]}:
        return False
    if isinstance(value, str):
        return (
            len(value) >= schema.get("minLength", 0)
            and len(value) <= schema.get("maxLength", len(value))
            and re.search(schema.get("pattern", ""), value) is not None
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = Decimal(str(value))
        bounds = {
            key: Decimal(str(schema[key])) for key in CHECKED_KEYS & set(schema) if "imum" in key
        }
        return (
            number >= bounds.get("minimum", number)
            and number <= bounds.get("maximum", number)
            and ("exclusiveMinimum" not in bounds or number > bounds["exclusiveMinimum"])
            and ("exclusiveMaximum" not in bounds or number < bounds["exclusiveMaximum"])
        )
    return True
