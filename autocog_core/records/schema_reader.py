"""Read a JSON Schema into the parts of a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autocog_core.constraints.schema_recursion import FiniteReferences
from autocog_core.errors import InputError, append_hint, shorten, suggest
from autocog_core.records.container_rules import read_array, read_object
from autocog_core.records.document_check import refusal_of
from autocog_core.records.merging import ANNOTATIONS, merge_schemas
from autocog_core.records.parts import Document, Part, Scalar, Union, Values
from autocog_core.records.pattern_regex import PatternError
from autocog_core.records.references import complete_in_itself, resolve
from autocog_core.records.scalar_rules import (
    NUMBER_KEYS,
    STRING_KEYS,
    read_numbers,
    read_strings,
)
from autocog_core.records.unions import combine
from autocog_core.records.value_rules import CHECKED_KEYS, check_rules, conforming, distinct

#: Parts of a schema, each use of a reference counted.
MAX_PARTS = 5_000
MAX_DEPTH = 40
MAX_VALUES = 10_000
TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
#: Keys that concern a whole value, so that it is not split.
_UNSPLIT_KEYS = frozenset(
    {
        *("not", "if", "contains", "patternProperties", "propertyNames", "minProperties"),
        *("maxProperties", "dependentRequired", "dependentSchemas", "dependencies"),
        *("unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef"),
    }
)
_OBJECT_KEYS = frozenset({"properties", "required", "additionalProperties"})
_ARRAY_KEYS = frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"})
_TYPE_OF_KEYS = (
    ("object", _OBJECT_KEYS),
    ("array", _ARRAY_KEYS),
    ("string", STRING_KEYS),
    ("number", NUMBER_KEYS),
)


def read_schema(schema: Any) -> Part:
    """Return the parts of a JSON Schema.

    :param schema: the schema, as JSON data.
    :raises InputError: with the path in the schema, if it is not valid, allows no value, or has
        something that is not supported.
    """
    try:
        return SchemaReader(schema).read(schema, "")
    except RecursionError as error:
        raise InputError("is nested too deeply", where="schema") from error


class SchemaReader:
    """Reads one schema.

    :param root: the whole schema, which references point into.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._references = FiniteReferences(root)
        self._count = 0
        self._depth = 0

    def read(self, schema: Any, path: str, references: frozenset[str] = frozenset()) -> Part:
        """Return the part of a sub-schema.

        :param schema: the sub-schema.
        :param path: its path in the record, such as "items[].price".
        :param references: the references that lead to it.
        """
        where = path or "schema"
        self._count += 1
        if self._count > MAX_PARTS:
            raise InputError(
                f"has more than {MAX_PARTS:,} parts, references counted", where="schema"
            )
        if self._depth >= MAX_DEPTH:
            raise InputError(f"is nested deeper than {MAX_DEPTH} levels", where=where)
        if schema is False:
            raise InputError("`false` allows no value", where=where)
        if schema is True:
            schema = {}
        if not isinstance(schema, Mapping):
            kind = type(schema).__name__
            raise InputError(
                f"expected a schema, got {shorten(repr(schema))} ({kind})", where=where
            )
        self._depth += 1
        try:
            return self._read(schema, path, references)
        finally:
            self._depth -= 1

    def document(self, schema: Mapping[str, Any], path: str) -> Document:
        """Return a value that is written as one text.

        :param schema: its schema.
        :param path: its path in the record.
        :raises InputError: if no constraint describes it.
        """
        whole = complete_in_itself(self._root, schema, path or "schema")
        if refusal := refusal_of(whole):
            raise InputError(refusal, where=path or "schema")
        return Document(schema=whole)

    def _read(self, schema: Mapping[str, Any], path: str, references: frozenset[str]) -> Part:
        opened = self._open(schema, path, references)
        if opened is None:
            return self.document(schema, path)
        schema, references = opened
        if "enum" in schema or "const" in schema:
            return self._constants(schema, path)
        if "anyOf" in schema or "oneOf" in schema:
            return self._alternatives(schema, path, references)
        if any(key in schema for key in _UNSPLIT_KEYS):
            return self.document(schema, path)
        types = self._types(schema, path)
        if not types:
            return self.document(schema, path)
        parts = [self._of_type(name, schema, path, references) for name in types]
        return combine(parts) or self.document(schema, path)

    def _open(
        self, schema: Mapping[str, Any], path: str, references: frozenset[str]
    ) -> tuple[Mapping[str, Any], frozenset[str]] | None:
        """Return a schema without `$ref` and `allOf`, and the references that lead to it.

        None if it refers to itself, or its parts cannot be merged.
        """
        where = path or "schema"
        while "$ref" in schema or "allOf" in schema:
            rest = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
            others = []
            if "$ref" in schema:
                reference = schema["$ref"]
                others.append(resolve(self._root, reference, where))
                if self._references.is_endless(reference):
                    raise InputError(
                        f'"{shorten(reference)}" contains itself without end: no value is finite',
                        where=where,
                    )
                if reference in references:
                    return None
                references |= {reference}
            if "allOf" in schema:
                if not isinstance(schema["allOf"], list) or not schema["allOf"]:
                    raise InputError("allOf: expected a list of schemas", where=where)
                others += schema["allOf"]
            merged: dict[str, Any] | None = rest
            for other in others:
                if other is True:
                    continue
                if other is False:
                    raise InputError("`false` allows no value", where=where)
                if not isinstance(other, Mapping):
                    raise InputError("allOf: expected a list of schemas", where=where)
                merged = merge_schemas(merged, other) if merged is not None else None
            if merged is None:
                return None
            schema = merged
        return schema, references

    def _constants(self, schema: Mapping[str, Any], path: str) -> Part:
        if any(key not in CHECKED_KEYS and key not in ANNOTATIONS for key in schema):
            rest = {key for key in schema if key in _UNSPLIT_KEYS | {"anyOf", "oneOf"}}
            if rest:
                return self.document(schema, path)
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        where = path or "schema"
        if not isinstance(values, list):
            raise InputError("enum: expected a list of values", where=where)
        if len(values) > MAX_VALUES:
            raise InputError(f"enum has more than {MAX_VALUES:,} values", where=where)
        check_rules(schema, where)
        try:
            values = distinct(conforming(values, schema))
        except PatternError as error:
            pattern = shorten(repr(schema["pattern"]))
            raise InputError(f"pattern: {error}: {pattern}", where=where) from error
        if not values:
            raise InputError("enum: no value is valid", where=where)
        return Values(values=values)

    def _alternatives(
        self, schema: Mapping[str, Any], path: str, references: frozenset[str]
    ) -> Part:
        where = path or "schema"
        key = "anyOf" if "anyOf" in schema else "oneOf"
        if "anyOf" in schema and "oneOf" in schema:
            return self.document(schema, path)
        alternatives = schema[key]
        if not isinstance(alternatives, list) or not alternatives:
            raise InputError(f"{key}: expected a list of schemas", where=where)
        rest = {
            name: value for name, value in schema.items() if name != key and name not in ANNOTATIONS
        }
        parts = []
        for alternative in alternatives:
            if alternative is False:
                continue
            merged = {"allOf": [rest, alternative]} if rest else alternative
            parts.append(self.read(merged, path, references))
        if not parts:
            raise InputError(f"{key}: `false` allows no value", where=where)
        return combine(parts, is_exclusive=key == "oneOf") or self.document(schema, path)

    def _types(self, schema: Mapping[str, Any], path: str) -> list[str]:
        """Return the types of a schema; none if it allows any."""
        where = path or "schema"
        types = schema.get("type")
        if types is None:
            # Keys of one type say nothing about values of other types, which are valid then.
            return [name for name, keys in _TYPE_OF_KEYS if keys & set(schema)][:1]
        names = types if isinstance(types, list) else [types]
        for name in names:
            if name not in TYPES:
                hint = suggest(name, TYPES) if isinstance(name, str) else ""
                message = append_hint(f"unknown type {shorten(repr(name))}", hint)
                raise InputError(message, where=where)
        if not names:
            raise InputError("type: expected at least one", where=where)
        return list(dict.fromkeys(names))

    def _of_type(
        self, name: str, schema: Mapping[str, Any], path: str, references: frozenset[str]
    ) -> Part:
        where = path or "schema"
        part: Part | None
        match name:
            case "null":
                return Values(values=(None,))
            case "boolean":
                return Values(values=(True, False))
            case "string":
                return Scalar(strings=(read_strings(schema, where),))
            case "integer" | "number":
                part = read_numbers(schema, where, is_integer=name == "integer")
            case "array":
                part = read_array(self, schema, path, references)
            case _:
                part = read_object(self, schema, path, references)
        return part if part is not None else self.document({**schema, "type": name}, path)


__all__ = ["SchemaReader", "Union", "read_schema"]
