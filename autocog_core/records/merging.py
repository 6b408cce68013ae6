"""Merge JSON Schemas that must hold together: `allOf`, or keys beside a `$ref`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LARGEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_SMALLEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
#: Keys about all entries that other keys of the same schema do not name, with these other keys.
_NAMED_BESIDE = {
    "additionalProperties": ("properties", "patternProperties"),
    "items": ("prefixItems",),
}
#: Keys that say nothing about values.
ANNOTATIONS = frozenset(
    {
        *("title", "description", "default", "examples", "example", "deprecated", "readOnly"),
        *("writeOnly", "$comment", "$id", "id", "$schema", "$defs", "definitions"),
        *("discriminator", "contentEncoding", "contentMediaType", "contentSchema", "$anchor"),
    }
)


def merge_schemas(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return one schema for the values that are valid by both; None if that needs `allOf`.

    :param first: a schema.
    :param second: another one, whose annotations count less.
    """
    merged = dict(first)
    for key, value in second.items():
        if key not in merged:
            merged[key] = value
            continue
        own = merged[key]
        if key in ANNOTATIONS or own == value:
            continue
        combined = _combine(key, own, value)
        if combined is None:
            return None
        merged[key] = combined
    # What one schema counts among its other keys or items may be named by the other schema.
    for each in (first, second):
        for others, names in _NAMED_BESIDE.items():
            if others in each and any(_names(merged, key) != _names(each, key) for key in names):
                return None
    return merged


def _names(schema: Mapping[str, Any], key: str) -> set[str] | int:
    value = schema.get(key)
    return set(value) if isinstance(value, Mapping) and value else len(value or ())


def _combine(key: str, own: Any, value: Any) -> Any:
    """Return the value of a key that both schemas have; None if there is no single one."""
    are_numbers = all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in (own, value)
    )
    if key in _LARGEST and are_numbers:
        return max(own, value)
    if key in _SMALLEST and are_numbers:
        return min(own, value)
    if key == "required" and isinstance(own, list) and isinstance(value, list):
        return [*own, *(name for name in value if name not in own)]
    if key == "type":
        return _common_types(own, value)
    if key == "enum" and isinstance(own, list) and isinstance(value, list):
        return [each for each in own if each in value] or None
    if key == "properties" and isinstance(own, Mapping) and isinstance(value, Mapping):
        both = {
            name: {"allOf": [own[name], value[name]]}
            for name in own
            if name in value and own[name] != value[name]
        }
        return {**own, **value, **both}
    return None


def _common_types(own: Any, value: Any) -> Any:
    first = own if isinstance(own, list) else [own]
    second = value if isinstance(value, list) else [value]
    common = [each for each in first if each in second]
    if "number" in first and "integer" in second and "integer" not in common:
        common.append("integer")
    if "integer" in first and "number" in second and "integer" not in common:
        common.append("integer")
    if not common:
        return None
    return common[0] if len(common) == 1 else common
