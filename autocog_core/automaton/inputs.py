"""Inputs that a program declares: what its templates are filled in from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autocog_core.errors import InputError, cut

InputType = Literal["text", "integer", "number", "boolean", "list", "any"]


class _Missing:
    """The type of `REQUIRED`."""

    def __repr__(self) -> str:
        return "REQUIRED"


#: The default of an input without one.
REQUIRED = _Missing()


@dataclass(frozen=True)
class Input:
    """One input.

    :ivar type: "text", "integer", "number", "boolean", "list", or "any" for what JSON can say.
    :ivar default: its value where none is given; `REQUIRED` for none.
    :ivar description: for people.
    """

    type: InputType = "text"
    default: Any = REQUIRED
    description: str = ""


def check_values(inputs: Mapping[str, Input], values: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each input, of its type; other values are left out.

    What comes from a table is text: "3" is an integer, and a list may be written as JSON.

    :raises InputError: naming all that is missing or of another type.
    """
    found = {}
    faults = []
    for name, declared in inputs.items():
        given = values.get(name, declared.default)
        if given is None:
            # An empty cell.
            given = declared.default
        if given is REQUIRED:
            faults.append(f'"{name}" is missing')
            continue
        try:
            found[name] = READERS[declared.type](given) if given is not None else None
        except UNREADABLE:
            faults.append(f'"{name}" {no(declared.type)}: {_shown(given)}')
    if faults:
        raise InputError(", ".join(faults), where="inputs", hint="it takes " + _signature(inputs))
    return found


def no(kind: InputType) -> str:
    """What is said of a value that is none of a type."""
    return "is nothing that JSON can say" if kind == "any" else f"is no {kind}"


def _signature(inputs: Mapping[str, Input]) -> str:
    return ", ".join(f"{name} ({declared.type})" for name, declared in inputs.items())


def _shown(value: Any) -> str:
    if isinstance(value, str | int | float | None):
        # Beyond some thousand digits Python writes no number.
        return cut(repr(value)) if not isinstance(value, int) or abs(value) < 1e99 else "a number"
    return f"a {type(value).__name__}"


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    return str(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    number = int(value) if isinstance(value, str | int) else round(value)
    if not isinstance(value, str) and number != value:
        raise ValueError
    return number


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise TypeError


def _list(value: Any) -> list[Any]:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, list | tuple):
        raise TypeError
    return [_any(item) for item in found]


def _any(value: Any) -> Any:
    """Plain data only: templates should not come upon objects that do things."""
    return json.loads(json.dumps(value))


#: What readers raise: lists may be nested deeply, and numbers be too large.
UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError)
#: How a value of each type is read.
READERS: Mapping[InputType, Callable[[Any], Any]] = {
    "text": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "list": _list,
    "any": _any,
}
