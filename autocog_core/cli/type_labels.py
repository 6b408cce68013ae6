"""The types of a backend's options as people read them: `int >= 1`, `"bytes" | "merges"`."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from autocog_core.config.required_files import RequiredFiles

_BOUND_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
#: Engines count in 32 bits. Nobody meets such a bound, so no label shows it.
_MIN_HIDDEN_BOUND = 2**31 - 1


def type_label(field: FieldInfo) -> str:
    """Return the type of a field, with its bounds."""
    for constraint in field.metadata:
        if isinstance(constraint, RequiredFiles):
            return f"folder with {constraint}"
    bounds = [
        f"{sign} {bound:g}"
        for constraint in field.metadata
        for name, sign in _BOUND_SIGNS.items()
        if isinstance(bound := getattr(constraint, name, None), int | float)
        if abs(bound) < _MIN_HIDDEN_BOUND
    ]
    return " ".join([_label(field.annotation), *bounds])


def _label(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is types.NoneType:
        return "none"
    if origin is Annotated:
        return _label(arguments[0])
    if origin in (Union, types.UnionType):
        return " | ".join(_label(argument) for argument in arguments)
    if origin is Literal:
        return " | ".join(f'"{a}"' if isinstance(a, str) else str(a) for a in arguments)
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return f"list of {_label(arguments[0])}"
    if origin is not None:
        inner = ", ".join(_label(argument) for argument in arguments)
        return f"{_label(origin)}[{inner}]" if inner else _label(origin)
    return getattr(annotation, "__name__", None) or str(annotation)
