"""Read the keys of objects and arrays in JSON Schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from autocog_core.errors import InputError, shorten
from autocog_core.records.field_path import join_path
from autocog_core.records.parts import Array, Object, Part, Property
from autocog_core.records.scalar_rules import read_count


class Reader(Protocol):
    """What reads the parts of a container."""

    def read(self, schema: Any, path: str, references: frozenset[str] = ...) -> Part:
        """Return the part of a sub-schema."""


def read_object(
    reader: Reader, schema: Mapping[str, Any], path: str, references: frozenset[str]
) -> Object | None:
    """Return an object with the keys that the schema names; None if it names none.

    Keys that the schema allows without naming them are not written.

    :param reader: reads the entries.
    :param schema: the schema.
    :param path: its path in the record.
    :param references: the references that lead to it.
    :raises InputError: if a required key is forbidden.
    """
    where = path or "schema"
    entries = schema.get("properties", {})
    required = schema.get("required", [])
    others = schema.get("additionalProperties", True)
    if not isinstance(entries, Mapping):
        raise InputError("properties: expected a mapping", where=where)
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise InputError("required: expected a list of names", where=where)
    if "properties" not in schema and not required and others is not False:
        return None
    properties = []
    for name in dict.fromkeys([*entries, *required]):
        entry = entries.get(name, others)
        is_required = name in required
        if entry is False:
            if is_required:
                raise InputError(f'the required key "{shorten(name)}" is forbidden', where=where)
            continue
        part = reader.read(entry, join_path(path, name), references)
        properties.append(Property(name=name, part=part, required=is_required))
    return Object(properties=tuple(properties))


def read_array(
    reader: Reader, schema: Mapping[str, Any], path: str, references: frozenset[str]
) -> Array:
    """Return a list with bounds.

    :param reader: reads the items.
    :param schema: the schema.
    :param path: its path in the record.
    :param references: the references that lead to it.
    :raises InputError: for bounds that contradict each other, and for `uniqueItems`.
    """
    where = path or "schema"
    minimum = read_count(schema, "minItems", where) or 0
    maximum = read_count(schema, "maxItems", where)
    first, others = schema.get("prefixItems", []), schema.get("items", True)
    if isinstance(others, list):
        # Older drafts have the first items here.
        first, others = others, schema.get("additionalItems", True)
    if not isinstance(first, list):
        raise InputError("prefixItems: expected a list of schemas", where=where)
    if others is False:
        maximum = len(first) if maximum is None else min(maximum, len(first))
    if maximum is not None and minimum > maximum:
        raise InputError(
            f"no list is valid: it has at least {minimum} and at most {maximum} items", where=where
        )
    if schema.get("uniqueItems") is True and maximum not in (0, 1):
        raise InputError(
            "uniqueItems is not supported", where=where, hint="leave it out, or set maxItems to 1"
        )
    if maximum is not None:
        first = first[:maximum]
    parts = tuple(
        reader.read(entry, f"{path}[{index}]", references) for index, entry in enumerate(first)
    )
    has_others = maximum is None or maximum > len(parts)
    item = reader.read(others, f"{path}[]", references) if has_others else None
    return Array(first=parts, item=item, minimum=minimum, maximum=maximum)
