"""The types of a table's columns, found from its values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

#: "json" is text that holds JSON: for lists and objects of mixed content.
KindName = Literal["text", "integer", "number", "boolean", "json"]
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_MAX_INTEGER = 2**63 - 1
#: Integers that a float can hold exactly.
_MAX_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of a column's cells. Each may also be missing.

    :ivar name: the type of a cell, or of the items of its list.
    :ivar is_list: whether the cells are lists.
    """

    name: KindName
    is_list: bool = False


class KindScan:
    """Finds the kind of a column from its values.

    :param has_lists: the cells are lists, whatever the values.
    """

    def __init__(self, has_lists: bool = False) -> None:
        self._scalars: set[str] = set()
        self._items: set[str] = set()
        self._has_lists = has_lists

    def add(self, value: Any) -> None:
        """Note a value."""
        if type(value) is list:
            self._has_lists = True
            self._items.update(map(_type_name, value))
        elif value is not None:
            self._scalars.add(_type_name(value))

    def kind(self) -> Kind:
        """Return the kind that holds all values so far; text if there are none."""
        if not self._has_lists:
            return Kind(_common_kind(self._scalars))
        name = _common_kind(self._items)
        # A scalar among lists, and lists of mixed content, are JSON.
        return Kind("json") if name == "json" or self._scalars else Kind(name, is_list=True)


def kind_of_values(values: Iterable[Any], *, is_list: bool) -> Kind:
    """Return the kind of a column whose cells have these values, or lists of them."""
    return Kind(_common_kind({_type_name(value) for value in values}), is_list)


def cell_text(value: Any) -> str:
    """Return the text of a cell: JSON, but texts as they are."""
    if isinstance(value, float):
        return repr(value)
    return value if isinstance(value, str) else _ENCODER.encode(value)


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        if abs(value) <= _MAX_EXACT:
            return "small integer"
        return "integer" if -_MAX_INTEGER - 1 <= value <= _MAX_INTEGER else "json"
    return "number" if isinstance(value, float) else "json"


def _common_kind(types: set[str]) -> KindName:
    types = types - {"null"}
    if types <= {"text"}:
        return "text"
    if types <= {"boolean"}:
        return "boolean"
    if types <= {"small integer", "integer"}:
        return "integer"
    if types <= {"small integer", "number"}:
        return "number"
    # Texts among others stay as they are.
    return "json"
