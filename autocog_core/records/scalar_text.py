"""The constraint on the text of a scalar: a string, a number, or one of several kinds."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from autocog_core.records.alphabet import JSON_STRING, Alphabet
from autocog_core.records.format_regex import FORMAT_REGEXES
from autocog_core.records.number_regex import MAX_FRACTION_DIGITS, decimal_regex, integer_regex
from autocog_core.records.parts import Numbers, Scalar, Strings
from autocog_core.records.pattern_regex import pattern_lengths, pattern_regex
from autocog_core.records.rust_regex import any_of, escape, repeat

#: Tokens that one character of a string may take: an escape such as \ud83d\ude00, by characters.
_TOKENS_PER_CHARACTER = 12


def number_regex(numbers: Numbers) -> str:
    """Return an expression for numbers within bounds; "" if there are none."""
    low, high = numbers.minimum, numbers.maximum
    if not numbers.is_integer:
        digits = numbers.fraction_digits
        return decimal_regex(
            low,
            high,
            excludes_minimum=numbers.excludes_minimum,
            excludes_maximum=numbers.excludes_maximum,
            fraction_digits=MAX_FRACTION_DIGITS if digits is None else digits,
        )
    smallest, largest = integer_bounds(numbers)
    if smallest is not None and largest is not None and smallest > largest:
        return ""
    return integer_regex(smallest, largest)


def integer_bounds(numbers: Numbers) -> tuple[int | None, int | None]:
    """Return the smallest and the largest whole number within bounds; None for no bound."""
    low, high = numbers.minimum, numbers.maximum
    smallest = None if low is None else math.ceil(low)
    largest = None if high is None else math.floor(high)
    if smallest is not None and numbers.excludes_minimum and smallest == low:
        smallest += 1
    if largest is not None and numbers.excludes_maximum and largest == high:
        largest -= 1
    return smallest, largest


def string_regexes(strings: Strings, alphabet: Alphabet) -> list[str]:
    """Return expressions for the written form of strings, all of which must match.

    :raises PatternError: for a pattern that is not supported.
    """
    regexes = [pattern_regex(pattern, alphabet) for pattern in strings.patterns]
    regexes += [FORMAT_REGEXES[name] for name in strings.formats]
    has_bounds = strings.min_length > 0 or strings.max_length is not None
    if not regexes or (has_bounds and not _are_lengths_implied(strings)):
        regexes.append(repeat(alphabet.any_character, strings.min_length, strings.max_length))
    return regexes


def _are_lengths_implied(strings: Strings) -> bool:
    """Return whether a pattern allows only lengths within the bounds."""
    longest = strings.max_length
    return any(
        lengths is not None
        and lengths[0] >= strings.min_length
        and (longest is None or lengths[1] <= longest)
        for lengths in map(pattern_lengths, strings.patterns)
    )


def json_constraint(scalar: Scalar, lead: str = "") -> dict[str, str]:
    """Return the constraint of a scalar in JSON, as arguments of a `Complete`.

    :param scalar: what it may be. If it is always a string, its quotes are not part of the text.
    :param lead: fixed text before it.
    """
    quote = "" if scalar.is_string else '"'
    alternatives = [_json_literal(value, scalar.is_string) for value in scalar.values]
    alternatives += [number_regex(numbers) for numbers in scalar.numbers]
    terms = [("", [alternative], "") for alternative in alternatives]
    terms += [(quote, string_regexes(each, JSON_STRING), quote) for each in scalar.strings]
    return _constraint(lead, terms)


def plain_constraint(scalar: Scalar, alphabet: Alphabet, lead: str = "") -> dict[str, str]:
    """Return the constraint of a scalar in plain text without quotes.

    :param scalar: what it may be.
    :param alphabet: the characters of its strings.
    :param lead: fixed text before it.
    """
    alternatives = [escape(plain_text(value)) for value in scalar.values]
    alternatives += [number_regex(numbers) for numbers in scalar.numbers]
    terms = [("", [alternative], "") for alternative in alternatives]
    terms += [("", string_regexes(each, alphabet), "") for each in scalar.strings]
    return _constraint(lead, terms)


def plain_text(value: Any) -> str:
    """Return a constant as text without quotes: a string as it is, else its JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def max_tokens_of(scalar: Scalar, usual: int) -> int:
    """Return the largest number of tokens of a scalar.

    :param scalar: the scalar.
    :param usual: the number for a text without a limit.
    """
    lengths = [each.max_length for each in scalar.strings]
    if not scalar.is_string or any(length is None for length in lengths):
        return usual
    longest = max([length for length in lengths if length is not None], default=0)
    # One more for the token that shows the end.
    return min(_TOKENS_PER_CHARACTER * longest + 1, max(usual, longest + 1))


def _json_literal(value: Any, without_quotes: bool) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return escape(text[1:-1] if without_quotes else text)


def _constraint(lead: str, terms: Sequence[tuple[str, list[str], str]]) -> dict[str, str]:
    """Return a regular expression, or a grammar if several expressions must match at once.

    :param lead: fixed text before all alternatives.
    :param terms: for each alternative: what comes before, the expressions, and what comes after.
    """
    before = escape(lead)
    if all(len(regexes) == 1 for _, regexes, _ in terms):
        regex = any_of(escape(start) + regexes[0] + escape(end) for start, regexes, end in terms)
        return {"regex": before + regex}
    # Regular expressions have no "and". Terminals of a grammar have.
    rules = [f"start: {' | '.join(f'T{index}' for index in range(len(terms)))}"]
    for index, (start, regexes, end) in enumerate(terms):
        both = " & ".join(f"/{before}{escape(start)}{regex}{escape(end)}/" for regex in regexes)
        rules.append(f"T{index}: {both}")
    return {"grammar": "\n".join(rules)}
