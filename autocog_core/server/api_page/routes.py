"""The routes of an OpenAPI document, as what the page shows."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from autocog_core.server.api_page.schema_text import describe_type, type_id, type_name

#: Characters of an example in one line.
MAX_LINE = 80


@dataclass(frozen=True)
class Field:
    """A field of a body or an answer.

    :ivar name: its name.
    :ivar kind: its type in words, with links.
    :ivar is_required: whether it may not be left out.
    :ivar text: what it means.
    """

    name: str
    kind: Markup
    is_required: bool
    text: str


@dataclass(frozen=True)
class RouteText:
    """A route.

    :ivar method: "GET" or "POST".
    :ivar path: its path.
    :ivar text: what it does.
    :ivar needs_key: whether it needs a key.
    :ivar body: the fields of the body; none without a body.
    :ivar answer: the type of the answer.
    :ivar command: a command line that calls it.
    """

    method: str
    path: str
    text: str
    needs_key: bool
    body: Sequence[Field]
    answer: Markup
    command: str


@dataclass(frozen=True)
class TypeText:
    """A named type.

    :ivar id: the id of its place on the page.
    :ivar name: its name.
    :ivar text: what it means.
    :ivar fields: its fields.
    """

    id: str
    name: str
    text: str
    fields: Sequence[Field]


def routes_of(document: Mapping[str, Any], url: str) -> Mapping[str, Sequence[RouteText]]:
    """Return the routes by their topic, in the order of the document.

    :param document: the OpenAPI document.
    :param url: the URL of the server.
    """
    topics: dict[str, list[RouteText]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            topic = (operation.get("tags") or ["other"])[0]
            route = _route(document, method.upper(), path, operation, url)
            topics.setdefault(topic, []).append(route)
    return topics


def types_of(document: Mapping[str, Any]) -> Iterator[TypeText]:
    """Yield the named types that have fields.

    :param document: the OpenAPI document.
    """
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        if schema.get("properties"):
            text = schema.get("description", "").partition("\n\n:ivar")[0]
            yield TypeText(type_id(name), type_name(name), text, _fields(schema))


def _route(
    document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any], url: str
) -> RouteText:
    body = _resolve(document, _json_schema(operation.get("requestBody", {})))
    needs_key = bool(operation.get("security"))
    return RouteText(
        method,
        path,
        operation.get("description", ""),
        needs_key,
        _fields(body),
        describe_type(_json_schema(operation["responses"].get("200", {}))),
        _command(url + path, body, needs_key),
    )


def _json_schema(content: Mapping[str, Any]) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = (
        content.get("content", {}).get("application/json", {}).get("schema", {})
    )
    return schema


def _resolve(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    named: Mapping[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return named


def _fields(schema: Mapping[str, Any]) -> Sequence[Field]:
    required = schema.get("required", ())
    return [
        Field(name, describe_type(field), name in required, field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]


def example_of(schema: Mapping[str, Any]) -> Any:
    """Return an example of a body: that of the document, else those of its fields.

    :param schema: the schema of the body.
    """
    for example in schema.get("examples", ()):
        return example
    fields = schema.get("properties", {}).items()
    return {name: field["examples"][0] for name, field in fields if field.get("examples")}


def _command(url: str, body: Mapping[str, Any], needs_key: bool) -> str:
    parts = [f"curl {shlex.quote(url)}"]
    if needs_key:
        parts.append('-H "Authorization: Bearer $KEY"')
    if body:
        example = json.dumps(example_of(body), ensure_ascii=False)
        if len(example) > MAX_LINE:
            example = json.dumps(example_of(body), ensure_ascii=False, indent=2)
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(example)}"]
    return " \\\n  ".join(parts)
