"""Combine the alternatives of a union, so that the first characters of a value say which it is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from autocog_core.records.parts import (
    Array,
    Document,
    Numbers,
    Object,
    Part,
    Property,
    Scalar,
    Strings,
    Union,
    Values,
)
from autocog_core.records.value_rules import distinct, identity, type_names


def combine(parts: Sequence[Part], *, is_exclusive: bool = False) -> Part | None:
    """Return one part for several alternatives; None if they begin alike.

    Scalars of several kinds that include numbers become one text. Other kinds differ in
    their first characters. Objects are distinguished by the constant of a property, which is then
    written first, or by their first keys.

    :param parts: the alternatives.
    :param is_exclusive: whether a value must be valid by one alternative alone (`oneOf`).
    """
    flat = [
        inner
        for part in parts
        for inner in (part.alternatives if isinstance(part, Union) else [part])
    ]
    if len(flat) == 1:
        return flat[0]
    if any(isinstance(part, Document) for part in flat):
        return None
    if is_exclusive and any(_may_overlap(first, second) for first, second in combinations(flat, 2)):
        return None
    values = distinct(value for part in flat if isinstance(part, Values) for value in part.values)
    scalars = [part for part in flat if isinstance(part, Scalar)]
    arrays = [part for part in flat if isinstance(part, Array)]
    objects = [part for part in flat if isinstance(part, Object)]
    if len(arrays) > 1 or (
        (arrays or objects) and any(isinstance(each, list | dict) for each in values)
    ):
        return None
    if len(objects) > 1:
        distinguished = distinguish(objects)
        if distinguished is None or (is_exclusive and not distinguished[1]):
            return None
        objects = list(distinguished[0])
    strings = tuple(dict.fromkeys(each for part in scalars for each in part.strings))
    numbers = tuple(dict.fromkeys(each for part in scalars for each in part.numbers))
    values = distinct([*values, *(value for part in scalars for value in part.values)])
    if numbers and (arrays or objects):
        return None
    return _union(values, strings, numbers, [*objects, *arrays])


def _union(
    values: tuple[object, ...],
    strings: tuple[Strings, ...],
    numbers: tuple[Numbers, ...],
    containers: Sequence[Part],
) -> Part:
    alternatives: list[Part] = []
    if numbers:
        alternatives.append(Scalar(strings=strings, numbers=numbers, values=values))
        values = ()
    elif strings:
        texts = tuple(value for value in values if isinstance(value, str))
        values = tuple(value for value in values if not isinstance(value, str))
        alternatives.append(Scalar(strings=strings, values=texts))
    alternatives += containers
    if values:
        alternatives.append(Values(values=values))
    return alternatives[0] if len(alternatives) == 1 else Union(alternatives=tuple(alternatives))


def distinguish(objects: Sequence[Object]) -> tuple[tuple[Object, ...], bool] | None:
    """Return objects whose first entries differ, and whether no value is valid by two of them.

    An object with several constants in the property that distinguishes it becomes several objects.

    :param objects: the objects.
    """
    for entry in objects[0].properties:
        found = [_constants_of(each, entry.name) for each in objects]
        constants = [identity(value) for values in found for value in values or ()]
        if all(found) and len(set(constants)) == len(constants):
            return (
                tuple(
                    _with_constant(each, entry.name, value)
                    for each, values in zip(objects, found, strict=True)
                    for value in values or ()
                ),
                True,
            )
    first = [each.properties[0] for each in objects if each.properties]
    names = {entry.name for entry in first if entry.required}
    return (tuple(objects), False) if len(names) == len(objects) else None


def _constants_of(part: Object, name: str) -> tuple[object, ...] | None:
    """Return the constants of a required property; None if it has others, or none."""
    for entry in part.properties:
        if entry.name == name and entry.required and isinstance(entry.part, Values):
            is_scalar = not any(isinstance(value, list | dict) for value in entry.part.values)
            return entry.part.values if is_scalar else None
    return None


def _with_constant(part: Object, name: str, value: object) -> Object:
    """Return an object whose first entry is a constant."""
    first = Property(name=name, part=Values(values=(value,)), required=True)
    return Object(properties=(first, *(each for each in part.properties if each.name != name)))


def _may_overlap(first: Part, second: Part) -> bool:
    """Return whether a value may be valid by both; objects are compared elsewhere."""
    if isinstance(first, Values) and isinstance(second, Values):
        return bool({*map(identity, first.values)} & {*map(identity, second.values)})
    kinds = [_kinds(part) for part in (first, second)]
    return bool((kinds[0] & kinds[1]) - {"object"})


def _kinds(part: Part) -> set[str]:
    match part:
        case Values(values=values):
            return {type_names(value)[-1] for value in values}
        case Scalar(strings=strings, numbers=numbers, values=values):
            kinds = {type_names(value)[-1] for value in values}
            return kinds | ({"string"} if strings else set()) | ({"number"} if numbers else set())
        case Array():
            return {"array"}
        case _:
            return {"object"}
