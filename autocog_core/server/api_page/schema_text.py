"""Types of an OpenAPI document in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

#: Where the document has its named types.
_NAMED = "#/components/schemas/"


def type_name(reference: str) -> str:
    """Return the name of a type without the modules in front of it.

    :param reference: a `$ref`, or a key of the document's schemas.
    """
    return reference.removeprefix(_NAMED).rpartition("__")[2]


def type_id(reference: str) -> str:
    """Return the id of a type's place on the page.

    :param reference: a `$ref`, or a key of the document's schemas.
    """
    return "type-" + reference.removeprefix(_NAMED)


def describe_type(schema: Mapping[str, Any]) -> Markup:
    """Return a type in words, with links to named types.

    :param schema: the JSON Schema of a field.
    """
    if "$ref" in schema:
        reference = schema["$ref"]
        return Markup('<a href="#{}">{}</a>').format(type_id(reference), type_name(reference))
    parts = [part for key in ("anyOf", "oneOf", "allOf") for part in schema.get(key, ())]
    if parts:
        texts = [describe_type(part) for part in parts if part.get("type") != "null"]
        return Markup(" or ").join(dict.fromkeys(texts))
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return Markup(" | ").join(Markup("<code>{}</code>").format(_literal(v)) for v in values)
    kind = schema.get("type")
    if kind == "array":
        return Markup("list of {}").format(describe_type(schema.get("items", {})))
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return Markup("object of {}").format(describe_type(schema["additionalProperties"]))
    return escape(kind or "any value")


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
