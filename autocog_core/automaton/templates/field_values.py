"""The fields that a path has set, as templates see them.

`{{ fields.label }}` is the value of the field, and `{{ fields.label.prob }}` its share among the
siblings. So a value is of a class that adds `prob` to its plain type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

#: The name of the fields in templates.
FIELDS = "fields"
#: The entry of a field for its share.
PROB = "prob"


@dataclass(frozen=True, slots=True)
class FieldUses:
    """The fields of a template.

    :ivar names: the fields that it names.
    :ivar required: those that must be set where it is rendered: it gives no `default` for them,
        and does not check that they are `defined`.
    :ivar probs: those whose share it uses.
    """

    names: frozenset[str]
    required: frozenset[str]
    probs: frozenset[str] = frozenset()

    def __or__(self, other: FieldUses) -> FieldUses:
        """Return the fields of two templates."""
        return FieldUses(
            self.names | other.names, self.required | other.required, self.probs | other.probs
        )


class FieldValue(NamedTuple):
    """One value of a field on a path.

    :ivar value: a JSON scalar, or plain data of these.
    :ivar prob: its share among its siblings; 1 for a text; None if it is not known.
    """

    value: Any
    prob: float | None


class Entries(tuple[tuple[str, Any], ...]):
    """The answers of a group with `for_each`, by key. Unlike a mapping, it can be hashed.

    An answer is a `FieldValue`, several of these, or other entries.
    """

    __slots__ = ()


class RecordData(str):
    """The data of a record as JSON text. Unlike the data, it can be hashed."""

    __slots__ = ()


class _TextField(str):
    prob: float | None


class _IntegerField(int):
    prob: float | None


class _NumberField(float):
    prob: float | None


class BooleanField(int):
    """A boolean with its share: Python's `bool` cannot have subclasses.

    :ivar prob: its share; None if it is not known.
    """

    prob: float | None

    def __str__(self) -> str:
        return str(bool(self))

    __repr__ = __str__


_FieldClass = type[_TextField] | type[_IntegerField] | type[_NumberField] | type[BooleanField]
_CLASSES: Mapping[type, _FieldClass] = {
    str: _TextField,
    int: _IntegerField,
    float: _NumberField,
    bool: BooleanField,
}
_FIELD_CLASSES = tuple(_CLASSES.values())


class Fields(dict[str, Any]):
    """The fields of a path. Its entries hide the methods of a mapping: "items" may be a field."""

    @classmethod
    def of(cls, values: Mapping[str, Sequence[FieldValue]], repeated: frozenset[str]) -> Fields:
        """Return the fields for a template.

        :param values: the values of each field that the path has set, in order.
        :param repeated: the fields that a path may set several times: they are lists, even of one.
        """
        return cls(
            {
                name: [*map(_with_prob, of_field)] if name in repeated else _with_prob(of_field[-1])
                for name, of_field in values.items()
            }
        )


def has_prob(value: Any) -> bool:
    """Return whether a value is that of a field, with its share."""
    return isinstance(value, _FIELD_CLASSES)


def without_prob(value: Any) -> Any:
    """Return a value without its share: a boolean as Python's own. Others work as they are."""
    return bool(value) if isinstance(value, BooleanField) else value


def _with_prob(field: FieldValue) -> Any:
    """Return the value with its share; other values than text, numbers and booleans as they are."""
    if isinstance(field.value, Entries):
        return _thaw(field.value)
    if isinstance(field.value, RecordData):
        data = _as_fields(json.loads(field.value))
        # The data may have an entry of this name itself.
        return Fields({PROB: field.prob, **data}) if isinstance(data, Fields) else data
    field_class = _CLASSES.get(type(field.value))
    if field_class is None:
        return field.value
    value = field_class(field.value)
    value.prob = field.prob
    return value


def _as_fields(data: Any) -> Any:
    """Return JSON data whose entries hide the methods of a mapping."""
    if isinstance(data, dict):
        return Fields({name: _as_fields(value) for name, value in data.items()})
    return [_as_fields(value) for value in data] if isinstance(data, list) else data


def _thaw(entry: Any) -> Any:
    """Return the answers of a group as a mapping."""
    match entry:
        case Entries():
            return {key: _thaw(value) for key, value in entry}
        case FieldValue():
            return _with_prob(entry)
    return [_thaw(value) for value in entry]
