"""Faults of a program file, each with its line and action; all of them in one error."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from autocog_core.errors import InputError, cut, suggestion, with_hint
from autocog_core.program import schema
from autocog_core.program.document import Document, Path_
from autocog_core.program.schema import action_kind
from autocog_core.program.token_set_schema import Shape

#: Faults that one error names, and those that are looked at for it.
MOST = 50


_MOST_LOOKED_AT = 1_000


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


_SHAPES: dict[str | None, type[Shape]] = {
    "text": schema.TextShape,
    "choose": schema.ChooseShape,
    "complete": schema.CompleteShape,
}


@dataclass(frozen=True)
class Fault:
    """Something wrong, and where in the data.

    :ivar name: a name that is unknown. `names`: those that are known, one of which may be meant.
    """

    path: Path_
    what: str
    name: str = ""
    names: Collection[str] = ()


def shape_faults(error: ValidationError, data: Any) -> Iterator[Fault]:
    """What pydantic has found."""
    for detail in islice(error.errors(include_url=False), _MOST_LOOKED_AT):
        *before, last = detail["loc"]
        if detail["type"] == "extra_forbidden":
            path = (*_in_data(before), last)
            yield Fault(path, "is no key here", str(last), _keys(path, data))
        else:
            yield Fault(_in_data(detail["loc"]), _said(detail))


def refuse(faults: Sequence[Fault], document: Document, where: str) -> InputError:
    """One error that names every fault by file, line and action."""
    placed = [(document.line(fault.path), fault) for fault in faults[:_MOST_LOOKED_AT]]
    placed.sort(key=lambda each: each[0] or 0)
    texts = list(
        dict.fromkeys(
            (f"{where}:{line}" if line else where, _described(fault, document.data))
            for line, fault in placed
        )
    )
    if len(texts) == 1:
        return InputError(texts[0][1], where=texts[0][0])
    count = f"{len(texts)} faults"
    if len(texts) > MOST:
        count = f"more than {MOST} faults, of which the first are"
    lines = [f"  {place}: {what}" for place, what in texts[:MOST]]
    return InputError("\n".join([count, *lines]), where=where)


def _described(fault: Fault, data: Any) -> str:
    """The action and key in words, and what is wrong."""
    path = fault.path
    parts = []
    if path[:1] == ("actions",) and len(path) > 1 and isinstance(path[1], int):
        action = _get(data, path[:2])
        name = action.get("uid") or action.get("name") if isinstance(action, dict) else None
        parts.append(f'action "{cut(name)}"' if isinstance(name, str) else f"action {path[1] + 1}")
        path = path[2:]
    if path:
        key = "".join(f"[{each}]" if isinstance(each, int) else f".{cut(each)}" for each in path)
        parts.append(key.lstrip("."))
    hint = suggestion(fault.name, fault.names) if fault.names else ""
    return with_hint(": ".join([*parts, fault.what]), hint)


def _in_data(location: Sequence[str | int]) -> Path_:
    """Pydantic's location without the tags of unions, which no file has."""
    return tuple(
        key for key in location if isinstance(key, int) or not (key[:1] == "<" and key[-1:] == ">")
    )


def _get(data: Any, path: Path_) -> Any:
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _said(detail: ErrorDetails) -> str:
    kind, given = detail["type"], detail["input"]
    if kind == "list_type" and detail["loc"][-2:] == ("stop", "<list>"):
        return f"expected text or a list, got {_shown(given)}"
    if kind in _EXPECTED:
        quoted = "; put it in quotes" if kind == "string_type" and _is_scalar(given) else ""
        return f"expected {_EXPECTED[kind]}, got {_shown(given)}{quoted}"
    if kind == "missing":
        return "is missing"
    if kind == "literal_error":
        return f"expected {detail['ctx']['expected']}, got {_shown(given)}"
    if kind in ("too_short", "too_long"):
        limits = detail["ctx"]
        wanted = limits.get("min_length", limits.get("max_length"))
        return (
            f"expected {wanted} or more, got none"
            if not given
            else (f"expected {wanted}, got {len(given)}")
        )
    return detail["msg"]


def _keys(path: Path_, data: Any) -> list[str]:
    """The keys that may stand where one does not."""
    found: type[Shape] | None = None
    if len(path) == 1:
        found = schema.ProgramShape
    elif path[0] == "actions" and len(path) == 3:
        found = _SHAPES.get(schema.action_kind(_get(data, path[:2])))
    elif path[0] == "inputs":
        found = schema.InputShape
    elif "choices" in path:
        each = "each" in (_get(data, path[:-1]) or ())
        found = schema.EachShape if each else schema.ChoiceShape
    elif "pieces" in path:
        found = schema.PieceShape
    return [field.alias or name for name, field in found.model_fields.items()] if found else []


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return f'"{cut(value)}"'
        case int() | float():
            return cut(repr(value))
        case dict():
            return "a mapping"
        case list():
            return "a list"
    return f"a {type(value).__name__}"


_HARMLESS: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "choose": {"choices": ["."]},
    "complete": {"length": 1},
}


def patched(data: dict[str, Any], faulty: Iterable[Path_]) -> dict[str, Any]:
    """A program of the right shape in which something harmless stands for what is faulty."""
    places = {path[:2] for path in faulty}
    found = {key: value for key, value in data.items() if (key,) not in places}
    for part, harmless in (("inputs", "any"), ("vocabs", {"union": []})):
        if isinstance(found.get(part), dict):
            found[part] = {
                name: harmless if (part, name) in places else one
                for name, one in found[part].items()
            }
    if isinstance(found.get("actions"), list):
        found["actions"] = [
            _stand_in(one) if ("actions", number) in places else one
            for number, one in enumerate(found["actions"])
        ]
    return {key: one for key, one in found.items() if key in ("inputs", "vocabs", "actions")}


def _stand_in(action: Any) -> dict[str, Any]:
    """An action that others may lead to."""
    kept = action if isinstance(action, dict) else {}
    names = {key: kept[key] for key in ("uid", "name") if isinstance(kept.get(key), str)}
    # Its kind may be what it is called by.
    harmless = _HARMLESS[action_kind(action) or "text"]
    return {**harmless, "next": None, **names}
