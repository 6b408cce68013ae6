"""Why a JSON Schema cannot constrain a text, and where in the schema the reason is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from autocog_core.constraints.json_schema import (
    escape_pointer,
    follow_reference,
    map_subschemas,
    subschemas,
)
from autocog_core.errors import shorten

#: Attempts to find the place of an error in a schema, each of which compiles a part of it.
MAX_ATTEMPTS = 200
#: Their characters together.
_MAX_ATTEMPTED_SIZE = 2_000_000
_ROOT = "#/$defs/root"
_TOO_LARGE = re.compile("too large|recursion limit")

#: (what llguidance says, what it means).
_MEANINGS = (
    (r"Unimplemented keys: \[([^,]*?)\]", r"\1 is not supported"),
    (r"Unimplemented keys: \[(.*?)\]", r"\1 are not supported"),
    (r"Unknown format: (.*)", r'the format "\1" is not supported'),
    (
        r"Unsatisfiable schema: Regex is empty.*",
        "no string has its pattern, format and lengths all together",
    ),
    (r"Unsatisfiable schema: (.*)", r"no value is valid: \1"),
    (
        r"oneOf constraints are not supported.*",
        "oneOf: the alternatives may overlap; use anyOf, or give each a required constant that "
        "differs",
    ),
    (
        r"Resource '(.*?)' is not present.*",
        r'$ref: the schema "\1" is in another document, which is not read',
    ),
    (r"Pointer '(.*?)' does not exist.*", r'$ref: "#\1" points to no schema'),
    (r"recursion limit exceeded.*", "it is nested too deeply"),
)


def explain_refusal(schema: Any, reason: str, size: int, refusal: Callable[[Any], str]) -> str:
    """Return why llguidance refuses a schema, with the place in the schema if it can be found.

    :param schema: the schema.
    :param reason: what llguidance says about it.
    :param size: its number of characters.
    :param refusal: what llguidance says about another schema; "" if it does not refuse it.
    """
    place, reason = "", _without_place(reason)
    if isinstance(schema, Mapping) and not _TOO_LARGE.search(reason):
        attempts = min(MAX_ATTEMPTS, _MAX_ATTEMPTED_SIZE // max(size, 1))
        place, reason = _find_place(schema, reason, attempts, refusal)
    for pattern, meaning in _MEANINGS:
        if match := re.search(pattern, reason, re.DOTALL):
            reason = match.expand(meaning)
            break
    return f"{place}: {shorten(reason, 200)}" if place else shorten(reason, 200)


def _find_place(
    schema: Mapping[str, Any], reason: str, attempts: int, refusal: Callable[[Any], str]
) -> tuple[str, str]:
    """Return the pointer to the innermost schema with an error, and what llguidance says of it."""
    root = map_subschemas(schema, _with_moved_references)
    current, place = schema, ""
    seen = {id(current)}
    # Below the keywords that llguidance lacks, there may be others, but these come first.
    keys = set(re.findall(r'"(.*?)"', reason)) if "Unimplemented keys" in reason else set()
    while not keys or not keys <= current.keys():
        for pointer, child in _reachable(schema, current, place):
            if attempts <= 0 or id(child) in seen:
                continue
            seen.add(id(child))
            attempts -= 1
            part = {"$ref": _ROOT + pointer.removeprefix("#"), "$defs": {"root": root}}
            inner = _without_place(refusal(part)).replace("/$defs/root", "")
            if inner == reason or _is_cause(reason, pointer, inner):
                current, place, reason = child, pointer, inner
                break
        else:
            break
    return place, reason


def _is_cause(reason: str, pointer: str, inner: str) -> bool:
    """Return whether a schema allows no value because the one at a pointer inside it does not."""
    match = re.search("required (?:property '(.*)'|item) is unsatisfiable", reason)
    if match is None or "Unsatisfiable" not in inner:
        return False
    if match[1] is None:
        return bool(re.search(r"/(?:items|prefixItems/\d+)$", pointer))
    return pointer.endswith(f"/properties/{escape_pointer(match[1])}")


def _reachable(root: Any, schema: Mapping[str, Any], place: str) -> list[tuple[str, Any]]:
    """Return the schemas inside a schema, and the one that it refers to, with their pointers."""
    children = [
        (f"{place or '#'}{pointer}", child)
        for pointer, child in subschemas(schema)
        if isinstance(child, Mapping) and not pointer.startswith(("/$defs/", "/definitions/"))
    ]
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        target = follow_reference(root, reference)
        if isinstance(target, Mapping):
            children.append((reference, target))
    return children


def _with_moved_references(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        schema["$ref"] = _ROOT + reference[1:]
    return schema


def _without_place(reason: str) -> str:
    return re.sub(r" while processing \S+", "", reason)
