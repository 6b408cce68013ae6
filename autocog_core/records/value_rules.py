"""Whether constants of a schema agree with its other keys, and which constants are equal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from autocog_core.constraints.language import body_grammar
from autocog_core.constraints.llguidance_calls import error_of, new_matcher
from autocog_core.constraints.tokenizers import byte_tokenizer
from autocog_core.errors import InputError, shorten
from autocog_core.records.alphabet import JSON_STRING
from autocog_core.records.pattern_regex import PatternError, pattern_regex
from autocog_core.types.constraint import Constraint

#: Keys that constants are checked by; with others, a list of constants is not split.
CHECKED_KEYS = frozenset(
    {
        *("type", "enum", "const", "minLength", "maxLength", "pattern"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    }
)


def type_names(value: Any) -> tuple[str, ...]:
    """Return the names of the JSON types that a value has."""
    match value:
        case None:
            return ("null",)
        case bool():
            return ("boolean",)
        case int():
            return ("integer", "number")
        case float():
            return ("integer", "number") if value.is_integer() else ("number",)
        case str():
            return ("string",)
        case Mapping():
            return ("object",)
        case _:
            return ("array",)


def identity(value: Any) -> str:
    """Return a text that is equal for values that JSON Schema holds for equal: 1 and 1.0."""

    def plain(part: Any) -> Any:
        if isinstance(part, float) and part.is_integer():
            return int(part)
        if isinstance(part, list):
            return [plain(entry) for entry in part]
        if isinstance(part, Mapping):
            return {key: plain(entry) for key, entry in part.items()}
        return part

    return json.dumps(plain(value), sort_keys=True)


def distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values without repetitions, in their order."""
    return tuple({identity(value): value for value in reversed(list(values))}.values())[::-1]


def check_rules(schema: Mapping[str, Any], where: str) -> None:
    """Check that the `CHECKED_KEYS` of a schema have values of their types.

    :param schema: the schema.
    :param where: its place, for errors.
    :raises InputError: if one has not.
    """
    for name in _listed(schema.get("type", "string")):
        if not isinstance(name, str):
            raise InputError(f"type: expected a name, got {shorten(repr(name))}", where=where)
    if not isinstance(schema.get("pattern", ""), str):
        raise InputError("pattern: expected a text", where=where)
    for key in CHECKED_KEYS & set(schema):
        if "Length" in key and not (_is_number(schema[key]) and schema[key] >= 0):
            raise InputError(f"{key}: expected a whole number of at least 0", where=where)
        if "imum" in key and not _is_number(schema[key]):
            raise InputError(
                f"{key}: expected a number, got {shorten(repr(schema[key]))}", where=where
            )


def conforming(values: Iterable[Any], schema: Mapping[str, Any]) -> list[Any]:
    """Return the constants that are valid by the `CHECKED_KEYS` of a schema.

    :param values: the constants, which are those of its `enum` if it has one.
    :param schema: the schema.
    :raises PatternError: for a pattern that is wrong or not supported.
    """
    const = identity(schema["const"]) if "const" in schema else None
    is_found = _pattern_test(schema["pattern"]) if "pattern" in schema else None
    return [
        value
        for value in values
        if (const is None or identity(value) == const)
        and _has_type(value, schema)
        and (not isinstance(value, str) or _is_valid_text(value, schema, is_found))
        and (not _is_number(value) or _is_within_bounds(value, schema))
    ]


def _has_type(value: Any, schema: Mapping[str, Any]) -> bool:
    return "type" not in schema or bool(set(_listed(schema["type"])) & set(type_names(value)))


def _listed(types: Any) -> list[Any]:
    return types if isinstance(types, list) else [types]


def _is_valid_text(
    text: str, schema: Mapping[str, Any], is_found: Callable[[str], bool] | None
) -> bool:
    return (
        len(text) >= schema.get("minLength", 0)
        and len(text) <= schema.get("maxLength", len(text))
        and (is_found is None or is_found(text))
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_within_bounds(value: float, schema: Mapping[str, Any]) -> bool:
    number = Decimal(str(value))
    bounds = {key: Decimal(str(schema[key])) for key in CHECKED_KEYS & set(schema) if "imum" in key}
    return (
        number >= bounds.get("minimum", number)
        and number <= bounds.get("maximum", number)
        and ("exclusiveMinimum" not in bounds or number > bounds["exclusiveMinimum"])
        and ("exclusiveMaximum" not in bounds or number < bounds["exclusiveMaximum"])
    )


def _pattern_test(pattern: Any) -> Callable[[str], bool]:
    """Return whether a pattern is found in a text, as a function.

    Python's own expressions may take for ever for a short text, and nothing could end them.
    """
    expression = pattern_regex(pattern, JSON_STRING)
    grammar = body_grammar(Constraint(kind="regex", source=expression))
    start = new_matcher(byte_tokenizer(), grammar)
    if reason := error_of(start):
        raise PatternError(f"the pattern cannot be used: {reason}")

    def is_found(text: str) -> bool:
        raw = list(json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", errors="replace"))
        matcher = start.deep_copy()
        return matcher.try_consume_tokens(raw) == len(raw) and matcher.is_accepting()

    return is_found
