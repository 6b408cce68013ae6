"""Faults of a program file, each with its line and action; all of them in one error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from autocog_core.errors import InputError, did_you_mean
from autocog_core.program import shape
from autocog_core.program.document import Document, Path_

#: Faults that one error names.
MOST = 50

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of names to values",
    "model_attributes_type": "a mapping of names to values",
}
_SHAPES: dict[str, type[shape.Shape]] = {
    "text": shape.TextShape,
    "choose": shape.ChooseShape,
    "complete": shape.CompleteShape,
}


@dataclass(frozen=True)
class Fault:
    """Something wrong, and where in the data."""

    path: Path_
    what: str


def shape_faults(error: ValidationError, data: Any) -> Iterator[Fault]:
    """What pydantic has found."""
    for detail in error.errors(include_url=False):
        path = _in_data(detail["loc"], data)
        yield Fault(path, _said(detail, path, data))


def refuse(faults: Sequence[Fault], document: Document, where: str) -> InputError:
    """One error that names every fault by file, line and action."""
    placed = [(document.line(fault.path), fault) for fault in faults]
    placed.sort(key=lambda each: each[0] or 0)
    texts = list(
        dict.fromkeys(
            (f"{where}:{line}" if line else where, _described(fault, document.data))
            for line, fault in placed
        )
    )
    if len(texts) == 1:
        return InputError(texts[0][1], where=texts[0][0])
    lines = [f"  {place}: {what}" for place, what in texts[:MOST]]
    if len(texts) > MOST:
        lines.append(f"  ... and {len(texts) - MOST} more")
    return InputError(f"{len(texts)} faults\n" + "\n".join(lines), where=where)


def _described(fault: Fault, data: Any) -> str:
    """The action and key in words, and what is wrong."""
    path = fault.path
    parts = []
    if path[:1] == ("actions",) and len(path) > 1 and isinstance(path[1], int):
        action = _get(data, path[:2])
        name = action.get("uid") or action.get("name") if isinstance(action, dict) else None
        parts.append(f'action "{name}"' if isinstance(name, str) else f"action {path[1] + 1}")
        path = path[2:]
    if path:
        key = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)
        parts.append(key.lstrip("."))
    return ": ".join([*parts, fault.what])


def _in_data(location: Sequence[str | int], data: Any) -> Path_:
    """Pydantic's location without the names of union members, which no file has."""
    path: list[str | int] = []
    current = data
    for number, key in enumerate(location):
        last = number == len(location) - 1
        if isinstance(current, dict) and (key in current or (last and isinstance(key, str))):
            if key not in current and key in shape.OPERATIONS + tuple(_SHAPES):
                continue
            path.append(key)
            current = current.get(str(key))
        elif isinstance(current, list) and isinstance(key, int) and key < len(current):
            path.append(key)
            current = current[key]
    return tuple(path)


def _get(data: Any, path: Path_) -> Any:
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _said(detail: ErrorDetails, path: Path_, data: Any) -> str:
    kind, given = detail["type"], detail["input"]
    if kind in _EXPECTED:
        quoted = "; put it in quotes" if kind == "string_type" and _is_scalar(given) else ""
        return f"expected {_EXPECTED[kind]}, got {_shown(given)}{quoted}"
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is no key here; " + did_you_mean(str(path[-1]), _keys(path, data))
    if kind == "literal_error":
        return f"expected {detail['ctx']['expected']}, got {_shown(given)}"
    if kind == "too_short":
        return "there is none" if not given else detail["msg"]
    return detail["msg"]


def _keys(path: Path_, data: Any) -> list[str]:
    """The keys that may stand where one does not."""
    if len(path) == 1:
        return list(shape.ProgramShape.model_fields)
    if path[0] == "actions" and len(path) == 3:
        kind = shape._action_tag(_get(data, path[:2]))
        return list(_SHAPES[kind].model_fields) if kind in _SHAPES else []
    if path[0] == "inputs":
        return list(shape.InputShape.model_fields)
    if "choices" in path:
        inside: type[shape.Shape] = shape.ChoiceShape
        if "each" in (_get(data, path[:-1]) or ()):
            inside = shape.EachShape
        return list(inside.model_fields)
    return []


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= 40 else f'{text[:37]}..."'
