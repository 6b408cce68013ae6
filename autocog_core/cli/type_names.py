"""The type of an option as people read it: `int >= 1`, `"bytes" | "merges"`."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def type_name(field: FieldInfo) -> str:
    """The field's type, with its bounds."""
    bounds = [
        f"{sign} {bound:g}"
        for constraint in field.metadata
        for name, sign in _BOUNDS.items()
        if isinstance(bound := getattr(constraint, name, None), int | float)
        # What an engine counts in 32 bits is no limit that anybody meets.
        if abs(bound) < 2**31 - 1
    ]
    return " ".join([_name(field.annotation), *bounds])


def _name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is types.NoneType:
        return "none"
    if origin is Annotated:
        return _name(arguments[0])
    if origin in (Union, types.UnionType):
        return " | ".join(_name(argument) for argument in arguments)
    if origin is Literal:
        return " | ".join(f'"{a}"' if isinstance(a, str) else str(a) for a in arguments)
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return f"list of {_name(arguments[0])}"
    if origin is not None:
        inner = ", ".join(_name(argument) for argument in arguments)
        return f"{_name(origin)}[{inner}]" if inner else _name(origin)
    return getattr(annotation, "__name__", None) or str(annotation)
