"""JSON Schemas whose objects have no other keys than those that they name."""

from __future__ import annotations

from typing import Any

_BY_NAME = frozenset({"properties", "$defs", "definitions", "patternProperties"})
_INNER = frozenset({"items", "prefixItems", "anyOf", "oneOf", "additionalProperties"})
#: Beside these, another part of the schema may name more keys of the same object.
_COMBINED = frozenset({"anyOf", "oneOf", "allOf", "$ref", "patternProperties"})


def close_objects(schema: Any) -> Any:
    """Return a schema that allows only the keys that its objects name, as records have them.

    :param schema: a JSON Schema. Objects that it combines from several parts stay as they are.
    """
    if isinstance(schema, list):
        return [close_objects(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _BY_NAME and isinstance(value, dict):
            closed[key] = {name: close_objects(entry) for name, entry in value.items()}
        else:
            closed[key] = close_objects(value) if key in _INNER else value
    if "properties" in closed and not _COMBINED & closed.keys():
        closed["additionalProperties"] = False
    return closed
