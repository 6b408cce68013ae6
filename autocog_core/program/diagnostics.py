"""Errors of a program file, each with its line and action, combined into one exception."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from autocog_core.errors import InputError, append_hint, shorten, suggest
from autocog_core.program import choice_schema, message_schema, schema
from autocog_core.program.document import DataPath, Document
from autocog_core.program.record_schema import RecordSchema
from autocog_core.program.token_set_schema import OPERATIONS, Schema

#: Errors in one message.
MAX_SHOWN_ERRORS = 50
#: Errors that are sorted by line for that message.
_MAX_SORTED_ERRORS = 1_000
#: Keys of a mapping that are compared with the valid ones.
_MAX_KEYS = 20

_EXPECTED_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of names to values",
    "model_attributes_type": "a mapping of names to values",
}
_ACTION_SCHEMAS: dict[str | None, type[Schema]] = {
    "text": schema.TextSchema,
    "messages": schema.MessagesSchema,
    "choose": schema.ChooseSchema,
    "complete": schema.CompleteSchema,
    "record": RecordSchema,
    "ask": schema.AskSchema,
}
#: For errors of unions: the keys, one of which a mapping must have.
_MAIN_KEYS: dict[str, Collection[str]] = {
    "action": tuple(schema.KINDS),
    "step": tuple(schema.STEP_KINDS),
    "text": ("literal", "pieces"),
    "message": (*message_schema.ROLE_KEYS, "role"),
    "vocab": OPERATIONS,
}


@dataclass(frozen=True)
class Diagnostic:
    """An error in a program, with its place in the data.

    :ivar path: the keys and indices that lead to the wrong part.
    :ivar message: what is wrong.
    :ivar name: an unknown name, for a suggestion.
    :ivar valid_names: the names of which one may be meant.
    """

    path: DataPath
    message: str
    _: KW_ONLY
    name: str = ""
    valid_names: Collection[str] = ()


def unknown_key(path: DataPath, valid_keys: Collection[str]) -> Diagnostic:
    """Return the error for a key that the format does not have."""
    return Diagnostic(path, "unknown key", name=str(path[-1]), valid_names=valid_keys)


def schema_errors(error: ValidationError, data: Any) -> Iterator[Diagnostic]:
    """Yield the errors that pydantic reports.

    :param error: pydantic's exception.
    :param data: the program that pydantic rejected.
    """
    for detail in islice(error.errors(include_url=False), _MAX_SORTED_ERRORS):
        *parent, last = detail["loc"]
        if detail["type"] == "extra_forbidden":
            path = (*_without_tags(parent), last)
            yield _misplaced_key(path, data) or unknown_key(path, _valid_keys(path, data))
            continue
        main_keys = _MAIN_KEYS.get(detail["type"], ())
        misspelt = _find_misspelt(detail["input"], main_keys)
        yield Diagnostic(
            _without_tags(detail["loc"]),
            _schema_message(detail),
            name=misspelt,
            valid_names=main_keys if misspelt else (),
        )


def combine_errors(errors: Sequence[Diagnostic], document: Document, where: str) -> InputError:
    """Return one exception that names each error by file, line and action.

    :param errors: at least one error.
    :param document: the program.
    :param where: the file.
    """
    located = [(document.line(error.path), error) for error in errors[:_MAX_SORTED_ERRORS]]
    located.sort(key=lambda entry: entry[0] or 0)
    # A dict, because the same error may be reported twice.
    messages = list(
        dict.fromkeys(
            (f"{where}:{line}" if line else where, _describe(error, document.data))
            for line, error in located
        )
    )
    if len(messages) == 1:
        return InputError(messages[0][1], where=messages[0][0])
    title = f"{len(messages)} errors"
    if len(messages) > MAX_SHOWN_ERRORS:
        title = f"more than {MAX_SHOWN_ERRORS} errors, the first are"
    lines = [f"  {place}: {message}" for place, message in messages[:MAX_SHOWN_ERRORS]]
    return InputError("\n".join([title, *lines]), where=where)


def value_at(data: Any, path: Iterable[str | int]) -> Any:
    """Return the part of plain data at a path, or None."""
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def describe_value(value: Any) -> str:
    """Return a value of a program for a message."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f'"{shorten(value)}"'
        case int() | float():
            return shorten(repr(value))
        case dict():
            return "a mapping"
        case list():
            return "a list"
    return f"a {type(value).__name__}"


def _describe(error: Diagnostic, data: Any) -> str:
    """Return the message after the action and the key."""
    path = error.path
    parts = []
    if path[:1] == ("actions",) and len(path) > 1 and isinstance(path[1], int):
        action = value_at(data, path[:2])
        name = action.get("uid") or action.get("name") if isinstance(action, dict) else None
        label = f'"{shorten(name)}"' if isinstance(name, str) else str(path[1] + 1)
        parts.append(f"action {label}")
        path = path[2:]
    if path:
        keys = "".join(f"[{key}]" if isinstance(key, int) else f".{shorten(key)}" for key in path)
        parts.append(keys.lstrip("."))
    hint = suggest(error.name, error.valid_names) if error.valid_names else ""
    return append_hint(": ".join([*parts, error.message]), hint)


def _without_tags(location: Sequence[str | int]) -> DataPath:
    """Return pydantic's location without the tags of unions, which are not in the file."""
    return tuple(
        key for key in location if isinstance(key, int) or not (key[:1] == "<" and key[-1:] == ">")
    )


def _schema_message(detail: ErrorDetails) -> str:
    kind, value = detail["type"], detail["input"]
    if kind == "list_type" and detail["loc"][-2:] == ("stop", "<list>"):
        return f"expected text or a list, got {describe_value(value)}"
    if kind in _EXPECTED_TYPES:
        message = f"expected {_EXPECTED_TYPES[kind]}, got {describe_value(value)}"
        hint = ""
        if kind == "string_type" and value is None:
            hint = 'an empty text is ""'
        elif kind == "string_type" and isinstance(value, bool | int | float):
            hint = "put it in quotes"
        return append_hint(message, hint)
    if kind == "missing":
        return "is missing"
    if kind == "literal_error":
        expected = detail["ctx"]["expected"].replace("'", '"')
        return f"expected {expected}, got {describe_value(value)}"
    if kind in ("too_short", "too_long"):
        limits = detail["ctx"]
        count = limits.get("min_length", limits.get("max_length"))
        if not value:
            return f"is empty; give at least {count}"
        return f"expected {count} entries, got {len(value)}"
    return detail["msg"]


def _find_misspelt(value: Any, valid_keys: Collection[str]) -> str:
    """Return the first key of a mapping that resembles a valid one, or ""."""
    keys = islice(value, _MAX_KEYS) if isinstance(value, dict) else ()
    return next((key for key in keys if get_close_matches(shorten(key), valid_keys)), "")


def _misplaced_key(path: DataPath, data: Any) -> Diagnostic | None:
    """Return the error for a key that only other kinds of actions have."""
    if not _is_key_of_action(path):
        return None
    kind = schema.action_kind(value_at(data, path[:-1]))
    owners = [owner for owner, fields in _ACTION_SCHEMAS.items() if path[-1] in fields.model_fields]
    if not owners:
        return None
    message = f"is a key of {' and '.join(map(str, owners))} actions, but this is a {kind} action"
    return Diagnostic(path, message)


def _is_key_of_action(path: DataPath) -> bool:
    """Return whether a path leads to a key of an action, in the program or in a question."""
    is_step = len(path) == 6 and path[2] == "ask"
    return path[0] == "actions" and (len(path) == 3 or is_step)


def _valid_keys(path: DataPath, data: Any) -> list[str]:
    """Return the keys that are valid beside an unknown one."""
    parent: type[Schema] | None = None
    if len(path) == 1:
        parent = schema.ProgramSchema
    elif _is_key_of_action(path):
        parent = _ACTION_SCHEMAS.get(schema.action_kind(value_at(data, path[:-1])))
    elif path[-2] == "for_each":
        parent = schema.ForEachSchema
    elif path[-2] == "thinking":
        parent = schema.ThinkingSchema
    elif path[0] == "inputs":
        parent = schema.InputSchema
    elif "choices" in path:
        is_each = path[-2] == "choices" or "each" in (value_at(data, path[:-1]) or ())
        parent = choice_schema.EachSchema if is_each else choice_schema.ChoiceSchema
    elif path[-3:-2] == ("messages",):
        kind = message_schema.message_kind(value_at(data, path[:-1]))
        return ["role", "content"] if kind in ("role", "content") else [str(kind)]
    elif "pieces" in path:
        parent = schema.PieceSchema
    if parent is None:
        return []
    return [field.alias or name for name, field in parent.model_fields.items()]
