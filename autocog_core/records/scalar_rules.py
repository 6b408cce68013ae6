"""Read the keys of strings and numbers in JSON Schemas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from autocog_core.errors import InputError, shorten
from autocog_core.records.alphabet import JSON_STRING
from autocog_core.records.format_regex import FORMAT_REGEXES, UNSUPPORTED_FORMATS
from autocog_core.records.parts import Numbers, Part, Scalar, Strings, Values
from autocog_core.records.pattern_regex import PatternError
from autocog_core.records.scalar_text import integer_bounds, number_regex, string_regexes

STRING_KEYS = frozenset({"minLength", "maxLength", "pattern", "format"})
NUMBER_KEYS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
)
#: So many numbers within bounds, or fewer, are choices.
MAX_LISTED_NUMBERS = 64
_MAX_DIGITS = 100


def read_strings(schema: Mapping[str, Any], where: str) -> Strings:
    """Return the rules for a string.

    :param schema: the schema.
    :param where: its path in the record.
    :raises InputError: for rules that contradict each other or are not supported.
    """
    shortest = read_count(schema, "minLength", where) or 0
    longest = read_count(schema, "maxLength", where)
    if longest is not None and shortest > longest:
        raise InputError(f"minLength {shortest} is above maxLength {longest}", where=where)
    pattern, name = schema.get("pattern"), schema.get("format")
    for key, value in (("pattern", pattern), ("format", name)):
        if value is not None and not isinstance(value, str):
            raise InputError(f"{key}: expected text, got {shorten(repr(value))}", where=where)
    if name in UNSUPPORTED_FORMATS:
        known = ", ".join(sorted(FORMAT_REGEXES))
        raise InputError(f'format "{name}" is not supported', where=where, hint=f"known: {known}")
    strings = Strings(
        min_length=shortest,
        max_length=longest,
        patterns=() if pattern is None else (pattern,),
        # Other names are notes for people.
        formats=(name,) if name in FORMAT_REGEXES else (),
    )
    try:
        string_regexes(strings, JSON_STRING)
    except PatternError as error:
        raise InputError(f"{error}: {shorten(str(pattern))!r}", where=where) from error
    return strings


def read_count(schema: Mapping[str, Any], key: str, where: str) -> int | None:
    """Return a number of characters or items; None if it is not given.

    :raises InputError: if it is not a whole number of at least 0.
    """
    value = schema.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value % 1:
        raise InputError(
            f"{key}: expected a whole number of at least 0, got {shorten(repr(value))}", where=where
        )
    return int(value)


def read_numbers(schema: Mapping[str, Any], where: str, *, is_integer: bool) -> Part | None:
    """Return the numbers of a schema; None if they are only described by a schema.

    :param schema: the schema.
    :param where: its path in the record.
    :param is_integer: whether they are whole.
    :raises InputError: for bounds that no number is within.
    """
    bounds = {key: _read_bound(schema, key, where) for key in NUMBER_KEYS}
    low, excludes_low = _tighter(bounds["minimum"], bounds["exclusiveMinimum"], 1)
    high, excludes_high = _tighter(bounds["maximum"], bounds["exclusiveMaximum"], -1)
    step = bounds["multipleOf"]
    if step is not None and step <= 0:
        raise InputError(f"multipleOf: expected a number above 0, got {step}", where=where)
    numbers = Numbers(
        is_integer=is_integer,
        minimum=low,
        maximum=high,
        excludes_minimum=excludes_low,
        excludes_maximum=excludes_high,
    )
    if low is not None and high is not None and low > high:
        raise InputError(f"no number is valid: minimum {low} is above maximum {high}", where=where)
    if step is None or (is_integer and not 1 % step):
        return _listed(numbers, Decimal(1), where) if is_integer else _written(numbers, where)
    if step == step.to_integral_value() or not is_integer:
        multiples = _listed(numbers, step, where)
        if isinstance(multiples, Values):
            return multiples
    exponent = step.normalize().as_tuple()
    if exponent.digits == (1,) and isinstance(exponent.exponent, int) and exponent.exponent <= 0:
        places = -exponent.exponent
        return _written(replace(numbers, fraction_digits=places), where)
    return None


def _written(numbers: Numbers, where: str) -> Scalar:
    if not number_regex(numbers):
        raise InputError("no number is within the bounds", where=where)
    return Scalar(numbers=(numbers,))


def _listed(numbers: Numbers, step: Decimal, where: str) -> Part:
    """Return the multiples of `step` within bounds, one by one if there are few."""
    if numbers.minimum is None or numbers.maximum is None:
        return _written(numbers, where)
    scaled = Numbers(
        is_integer=True,
        minimum=numbers.minimum / step,
        maximum=numbers.maximum / step,
        excludes_minimum=numbers.excludes_minimum,
        excludes_maximum=numbers.excludes_maximum,
    )
    first, last = integer_bounds(scaled)
    assert first is not None
    assert last is not None
    if first > last:
        raise InputError("no number is within the bounds", where=where)
    if last - first >= MAX_LISTED_NUMBERS:
        return _written(numbers, where)
    multiples = [step * factor for factor in range(first, last + 1)]
    return Values(
        values=tuple(
            int(each) if each == each.to_integral_value() else float(each) for each in multiples
        )
    )


def _read_bound(schema: Mapping[str, Any], key: str, where: str) -> Decimal | None:
    value = schema.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{key}: expected a number, got {shorten(repr(value))}", where=where)
    number = Decimal(value) if isinstance(value, int) else Decimal(str(value))
    digits = number.as_tuple()
    size = abs(digits.exponent) if isinstance(digits.exponent, int) else _MAX_DIGITS
    if not number.is_finite() or len(digits.digits) + size > _MAX_DIGITS:
        raise InputError(f"{key}: the number has more than {_MAX_DIGITS} digits", where=where)
    return number


def _tighter(
    included: Decimal | None, excluded: Decimal | None, sign: int
) -> tuple[Decimal | None, bool]:
    """Return the bound that counts, and whether it is left out itself."""
    if excluded is None:
        return included, False
    if included is None or excluded * sign >= included * sign:
        return excluded, True
    return included, False
