"""JSON Schemas as llguidance reads them: the parts of a schema, and keywords that it lacks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from autocog_core.errors import InputError, shorten

#: Keywords whose value is data, not a schema.
_DATA_KEYS = frozenset({"enum", "const", "default", "examples", "x-guidance"})
#: Keywords whose value has schemas by name.
_NAMED_KEYS = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}
)
#: Keywords whose value is a whole number, which JSON may write as 2.0.
_COUNT_KEYS = frozenset(
    {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
)
#: llguidance's options: these change only blanks. Others may make it ignore keywords.
_SPACING_OPTIONS = frozenset({"whitespace_flexible", "item_separator", "key_separator"})

#: Years with a February 29.
LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_NO_FEBRUARY_29 = "[0-9]{4}-(?:0[13-9]-..|1.-..|02-[01].|02-2[0-8])"
_DATE = f"(?:{_NO_FEBRUARY_29}|{LEAP_YEAR}-02-29)"
#: Until its seconds, which are below 60.
_TIME = "[0-9:]{6}[0-5]"
#: llguidance's expressions allow each February 29 and each second 60, although a year must have
#: such a day, and few minutes had such a second. A string must match these too.
_STRICT_FORMATS = {"date": f"^{_DATE}$", "time": f"^{_TIME}", "date-time": f"^{_DATE}.{_TIME}"}


#: The blanks of patterns: `\s` of JavaScript has U+FEFF, that of Rust has U+0085 instead.
_BLANKS = r"\t-\r \u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF"
_BLANK_CLASSES = {r"\s": f"[{_BLANKS}]", r"\S": f"[^{_BLANKS}]"}


def read_json_schema(source: str) -> dict[str, Any] | bool:
    """Return the JSON Schema in a text.

    :param source: the schema as JSON.
    :raises InputError: if it is no JSON Schema, or has options that change its meaning.
    """
    try:
        schema = json.loads(source)
    except ValueError as error:
        raise InputError(f"is not JSON: {error}", where="constraint") from error
    except RecursionError as error:
        raise InputError("is nested too deeply", where="constraint") from error
    if not isinstance(schema, dict | bool):
        raise InputError(
            f"must be an object or a boolean, got {shorten(repr(schema))}", where="constraint"
        )
    if isinstance(schema, dict) and "x-guidance" in schema:
        _check_options(schema["x-guidance"])
    return schema


def subschemas(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the schemas directly inside a schema, each with its JSON pointer from there.

    Unknown keywords count too, since references may point into them.

    :param schema: the schema.
    """
    for key, value in schema.items():
        if key in _DATA_KEYS:
            continue
        pointer = f"/{escape_pointer(key)}"
        if key in _NAMED_KEYS and isinstance(value, Mapping):
            for name, entry in value.items():
                yield f"{pointer}/{escape_pointer(name)}", entry
        elif isinstance(value, list):
            yield from ((f"{pointer}/{index}", entry) for index, entry in enumerate(value))
        elif isinstance(value, Mapping):
            yield pointer, value


def map_subschemas(schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Return a schema after a change of each schema in it, the innermost first.

    :param schema: the schema, or a list of schemas.
    :param change: gets a copy of each schema.
    """
    if isinstance(schema, list):
        return [map_subschemas(entry, change) for entry in schema]
    if not isinstance(schema, Mapping):
        return schema
    result = {}
    for key, value in schema.items():
        if key in _NAMED_KEYS and isinstance(value, Mapping):
            result[key] = {name: map_subschemas(entry, change) for name, entry in value.items()}
        else:
            result[key] = value if key in _DATA_KEYS else map_subschemas(value, change)
    return change(result)


def complete_keywords(schema: Any) -> Any:
    """Return a schema with the same meaning for llguidance, which knows fewer keywords.

    :param schema: the schema.
    :raises InputError: if it is nested too deeply.
    """
    try:
        return map_subschemas(schema, _complete_keywords)
    except RecursionError as error:
        raise InputError("is nested too deeply", where="constraint") from error


def follow_reference(root: Any, reference: str) -> Any:
    """Return what a local reference points to; None if that is not known here.

    :param root: the whole schema.
    :param reference: such as "#/$defs/name".
    """
    pointer = unquote(reference.removeprefix("#"))
    if not reference.startswith("#") or (pointer and not pointer.startswith("/")):
        return None
    target = root
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(target, Mapping) and key in target:
            target = target[key]
        elif isinstance(target, list) and key.isdecimal() and int(key) < len(target):
            target = target[int(key)]
        else:
            return None
    return target


def escape_pointer(key: str) -> str:
    """Return a key as a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _complete_keywords(schema: dict[str, Any]) -> dict[str, Any]:
    for key in _COUNT_KEYS & schema.keys():
        if isinstance(value := schema[key], float) and value.is_integer():
            schema[key] = int(value)
    if isinstance(pattern := schema.get("pattern"), str):
        schema["pattern"] = _with_blank_classes(pattern)
    if isinstance(patterns := schema.get("patternProperties"), Mapping):
        schema["patternProperties"] = {
            _with_blank_classes(name): entry for name, entry in patterns.items()
        }
    if schema.get("uniqueItems") is False:
        del schema["uniqueItems"]
    name = schema.get("format")
    if isinstance(name, str) and (pattern := _STRICT_FORMATS.get(name)):
        if "pattern" not in schema:
            schema["pattern"] = pattern
        elif isinstance(others := schema.get("allOf", []), list):
            schema["allOf"] = [*others, {"pattern": pattern}]
    return schema


def _with_blank_classes(pattern: str) -> str:
    return re.sub(r"\\.", lambda match: _BLANK_CLASSES.get(match[0], match[0]), pattern)


def _check_options(options: object) -> None:
    if not isinstance(options, Mapping):
        raise InputError("x-guidance must be an object", where="constraint")
    if unknown := [name for name in options if name not in _SPACING_OPTIONS]:
        raise InputError(
            f'has the option "{shorten(str(unknown[0]))}" of llguidance, which may allow other '
            "values: leave it out",
            where="constraint",
        )
    for name, sign in (("item_separator", ","), ("key_separator", ":")):
        value = options.get(name, sign)
        if not isinstance(value, str) or value.strip(" \t\n\r") != sign:
            raise InputError(
                f'x-guidance: {name} must be "{sign}" and blanks, got {shorten(repr(value))}',
                where="constraint",
            )
