"""References in JSON Schemas: what they point to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autocog_core.constraints.json_schema import follow_reference
from autocog_core.errors import InputError, shorten

#: Keys whose value is a schema, a list of schemas, or schemas by name.
_SCHEMA_KEYS = (
    *("items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties", "additionalItems"),
)
_LIST_KEYS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_MAP_KEYS = ("properties", "patternProperties", "dependentSchemas")


def resolve(root: Any, reference: object, where: str) -> Any:
    """Return the schema that a local reference points to.

    :param root: the whole schema.
    :param reference: the value of `$ref`.
    :param where: where it stands, for messages.
    :raises InputError: if there is no such schema, or it is in another document.
    """
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise InputError(
            f"$ref {shorten(repr(reference))} is not in this schema",
            where=where,
            hint='give a reference such as "#/$defs/NAME"',
        )
    target = follow_reference(root, reference)
    if not isinstance(target, Mapping | bool):
        raise InputError(f"$ref {shorten(repr(reference))} points to no schema", where=where)
    return target


def complete_in_itself(root: Any, schema: Any, where: str) -> dict[str, Any]:
    """Return a sub-schema with all that its references point to.

    :param root: the whole schema.
    :param schema: a part of it.
    :param where: where it stands, for messages.
    """
    names: dict[str, str] = {}
    definitions: dict[str, Any] = {}
    pending: list[str] = []

    def copy(value: Any, is_schema: bool = True) -> Any:
        if isinstance(value, list):
            return [copy(entry, is_schema) for entry in value]
        if not isinstance(value, Mapping):
            return value
        if not is_schema:
            return {key: copy(entry) for key, entry in value.items()}
        result = {}
        for key, entry in value.items():
            if key == "$ref":
                if entry not in names:
                    names[entry] = f"d{len(names)}"
                    pending.append(entry)
                result[key] = f"#/$defs/{names[entry]}"
            elif key in _SCHEMA_KEYS or key in _LIST_KEYS:
                result[key] = copy(entry)
            elif key in _MAP_KEYS:
                result[key] = copy(entry, is_schema=False)
            elif key not in ("$defs", "definitions", "title", "description", "discriminator"):
                result[key] = entry
        return result

    whole: dict[str, Any] = copy(schema) if isinstance(schema, Mapping) else {}
    while pending:
        reference = pending.pop()
        definitions[names[reference]] = copy(resolve(root, reference, where))
    if definitions:
        whole["$defs"] = definitions
    return whole
