"""Expressions of numbers within bounds, against arithmetic."""

from __future__ import annotations

import random
import re
from decimal import Decimal

from autocog_core.records.number_regex import decimal_regex, integer_regex
from tests.support.soak import count


def test_whole_numbers_within_bounds_match_and_no_others() -> None:
    generator = random.Random(0)
    for _ in range(count(normal=60, soak=3000)):
        bounds = sorted(generator.randint(-1200, 1200) for _ in range(2))
        low, high = (generator.choice([None, bound, bound]) for bound in bounds)
        regex = re.compile(integer_regex(low, high))
        near = [bound + step for bound in bounds for step in (-1, 0, 1)]
        for number in [*range(-1300, 1300, 13), *near, 10**15, -(10**15)]:
            is_valid = (low is None or number >= low) and (high is None or number <= high)
            assert bool(regex.fullmatch(str(number))) == is_valid, (low, high, number)
        assert not any(regex.fullmatch(text) for text in ("-0", "007", "", "-", "+1", "1.0"))


def test_decimals_within_bounds_match_and_no_others() -> None:
    generator = random.Random(0)

    def draw() -> Decimal:
        return Decimal(generator.randint(-3000, 3000)) / 10 ** generator.randint(0, 3)

    for _ in range(count(normal=150, soak=10_000)):
        bounds = sorted(draw() for _ in range(2))
        low, high = (generator.choice([None, bound, bound]) for bound in bounds)
        excludes_low, excludes_high = (generator.random() < 0.5 for _ in range(2))
        digits = generator.choice([0, 1, 2, 3, 9])
        source = decimal_regex(
            low,
            high,
            excludes_minimum=excludes_low,
            excludes_maximum=excludes_high,
            fraction_digits=digits,
        )
        regex = re.compile(source or r"[^\s\S]")
        near = [
            bound + sign * Decimal(step)
            for bound in bounds
            for step in ("0", "0.0001", "0.001", "0.01", "0.1", "1")
            for sign in (1, -1)
        ]
        for number in [draw() for _ in range(20)] + near:
            is_valid = (low is None or (number > low if excludes_low else number >= low)) and (
                high is None or (number < high if excludes_high else number <= high)
            )
            for text in _forms(number):
                matches = bool(regex.fullmatch(text))
                assert is_valid or not matches, (source, text)
                is_short = len(text.partition(".")[2]) <= digits
                assert matches or not (is_valid and is_short), (low, high, source, text)
        assert not any(regex.fullmatch(text) for text in ("-0", "01", "1.", ".5", "1e3", "-"))


def _forms(number: Decimal) -> set[str]:
    """Return a number with and without zeros at its end."""
    text = format(number, "f") if number else "0"
    shortest = text.rstrip("0").rstrip(".") if "." in text else text
    return {text, shortest, text + "0" if "." in text else f"{text}.0"}


def test_numbers_without_bounds_have_a_bounded_number_of_digits() -> None:
    assert integer_regex(0, None) == "(?:0|[1-9][0-9]{0,17})"
    assert re.fullmatch(decimal_regex(), "-0.000000001")
    assert not re.fullmatch(decimal_regex(), "0.0000000001")
    assert decimal_regex(Decimal(1), Decimal(1), excludes_maximum=True) == ""
