"""The inputs that a program declares, which provide the values for its templates."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autocog_core.errors import InputError, did_you_mean, shorten

InputType = Literal["text", "integer", "number", "boolean", "list", "any"]


class _Required:
    """The type of `REQUIRED`."""

    def __repr__(self) -> str:
        return "REQUIRED"


#: The default of an input that has none.
REQUIRED = _Required()


@dataclass(frozen=True)
class Input:
    """An input of a program.

    :ivar type: "text", "integer", "number", "boolean", "list", or "any" for any JSON value.
    :ivar default: the value if none is given; `REQUIRED` for none.
    :ivar description: a description for people.
    """

    type: InputType = "text"
    default: Any = REQUIRED
    description: str = ""


def convert_values(inputs: Mapping[str, Input], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value of the declared type for each input.

    Values from tables are text: "3" becomes an integer, and a list is read as JSON.

    :param inputs: the declared inputs, by name.
    :param values: the values, by name; other names are ignored. None, as for an empty cell, gives
        the default.
    :raises InputError: naming all values that are missing or of another type.
    """
    converted = {}
    errors = []
    for name, declared in inputs.items():
        value = values.get(name)
        if value is None:
            value = declared.default
        if value is REQUIRED:
            errors.append(f'"{name}" is missing')
            continue
        try:
            converted[name] = None if value is None else CONVERTERS[declared.type](value)
        except CONVERSION_ERRORS:
            errors.append(f'"{name}" {TYPE_ERRORS[declared.type]}: {_describe(value)}')
    if errors:
        raise InputError(", ".join(errors), where="inputs", hint=_hint(inputs, errors))
    return converted


def _hint(inputs: Mapping[str, Input], errors: Sequence[str]) -> str:
    """Return how to write a list, if that is all that is wrong; else the inputs and their types."""
    if all(f'" {TYPE_ERRORS["list"]}: ' in error for error in errors):
        return 'write a list as JSON: ["first", "second"]'
    signature = ", ".join(f"{name} ({declared.type})" for name, declared in inputs.items())
    return f"the inputs are {signature}"


def require_valid_values(inputs: Mapping[str, Input], values: Mapping[str, Any]) -> None:
    """Check values of some inputs, before the values of the others are known.

    :param inputs: the declared inputs, by name.
    :param values: the values, by name.
    :raises InputError: for a name that is no input, or naming all values of another type.
    """
    for name in values:
        if name not in inputs:
            hint = did_you_mean(name, inputs)
            raise InputError(f'the program has no input "{name}"', where="values", hint=hint)
    convert_values({name: inputs[name] for name in values}, values)


def _describe(value: Any) -> str:
    if isinstance(value, str | int | float | None):
        # Python raises ValueError for the text of an integer with some thousand digits.
        is_huge = isinstance(value, int) and abs(value) >= 1e99
        return "a huge number" if is_huge else shorten(repr(value))
    return f"a {type(value).__name__}"


def _to_text(value: Any) -> str:
    return str(_require_scalar(value))


def _to_integer(value: Any) -> int:
    _require_scalar(value)
    integer = int(value) if isinstance(value, str | int) else round(value)
    if not isinstance(value, str) and integer != value:
        raise ValueError
    return integer


def _to_number(value: Any) -> float:
    number = float(_require_scalar(value))
    if not math.isfinite(number):
        raise ValueError
    return number


def _require_scalar(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    return value


def _to_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise TypeError


def _to_list(value: Any) -> list[Any]:
    items = json.loads(value) if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise TypeError
    return [_to_plain_data(item) for item in items]


def _to_plain_data(value: Any) -> Any:
    """Copy a value as plain data: templates must not reach objects with behavior."""
    return json.loads(json.dumps(value))


#: What converters raise: lists may be nested deeply, and numbers may be too large.
CONVERSION_ERRORS = (ValueError, TypeError, OverflowError, RecursionError)
#: The conversion of a value to each type.
CONVERTERS: Mapping[InputType, Callable[[Any], Any]] = {
    "text": _to_text,
    "integer": _to_integer,
    "number": _to_number,
    "boolean": _to_boolean,
    "list": _to_list,
    "any": _to_plain_data,
}
#: The error for a value that does not have a type.
TYPE_ERRORS: Mapping[InputType, str] = {
    "text": "is not text",
    "integer": "is not an integer",
    "number": "is not a number",
    "boolean": "is not a boolean",
    "list": "is not a list",
    "any": "is not a JSON value",
}
