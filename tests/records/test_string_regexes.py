"""Expressions of strings, against Python's own `re`, and against the checkers of formats."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
from collections.abc import Callable
from ipaddress import IPv6Address

import pytest
from pydantic import TypeAdapter

from autocog_core import InputError
from autocog_core.constraints.language import body_grammar, check_constraint
from autocog_core.constraints.llguidance_calls import new_matcher
from autocog_core.constraints.tokenizers import byte_tokenizer
from autocog_core.records.alphabet import JSON_STRING, plain_line
from autocog_core.records.format_regex import FORMAT_REGEXES
from autocog_core.records.parts import Scalar, Strings
from autocog_core.records.pattern_regex import PatternError, pattern_regex
from autocog_core.records.scalar_text import json_constraint
from autocog_core.records.schema_reader import read_schema
from autocog_core.types.constraint import Constraint
from tests.support.soak import count

PATTERNS = (
    *("^[A-Z]{2}-\\d{4}$", "a+b", "^x|y$", "(foo|b[^ar]*)$", "^.$", '^["\\\\]{1,2}$', "^[^\\n]*$"),
    *(
        "\\s",
        "^\\S+$",
        "^\\w{2}$",
        "^\\W$",
        "^[^\\d]$",
        "^a{0,2}?b$",
        "^(?:a(b)?)+$",
        "",
        "/",
        "^é$",
    ),
    *("^[\\x00-\\x1f]$", "^[^a-z]+$", "^(^a|b$)$", "^[.\\-*/]$"),
)
ALPHABET = 'abxyfoor0A -/\n\t"\\é.€𝄞\x00*'


def reader(constraint: Constraint) -> Callable[[str], bool]:
    """Return whether a text meets a constraint."""
    start = new_matcher(byte_tokenizer(), body_grammar(constraint))
    assert not start.is_error(), start.get_error()

    def is_valid(text: str) -> bool:
        matcher, raw = start.deep_copy(), list(text.encode())
        return matcher.try_consume_tokens(raw) == len(raw) and matcher.is_accepting()

    return is_valid


def test_patterns_find_what_re_finds() -> None:
    generator = random.Random(0)
    for pattern in PATTERNS:
        try:
            is_valid = reader(Constraint(kind="regex", source=pattern_regex(pattern, JSON_STRING)))
        except PatternError:
            assert pattern == "^(^a|b$)$"
            continue
        texts = ["", "AB-1234", *ALPHABET]
        texts += [
            "".join(generator.choices(ALPHABET, k=generator.randrange(1, 5)))
            for _ in range(count(normal=12, soak=1000))
        ]
        for text in texts:
            # Python's $ also matches before a line break at the end; JSON Schema's does not.
            found = re.search(pattern.replace("$", "\\Z"), text) is not None
            written = json.dumps(text, ensure_ascii=False)[1:-1]
            is_served = is_valid(written)
            # Beyond ASCII, a word is what every dialect calls one.
            assert found or not is_served, (pattern, text)
            assert is_served == found or ("\\w" in pattern and not text.isascii()), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?=a)", "looks ahead"),
        ("(?<!a)b", "looks ahead"),
        ("(a)\\1", "refers to a group"),
        ("a^b", "inside"),
        ("\\bword", "inside"),
        ("(", "not valid"),
        ("(?i)a", "flags"),
        ("a" * 10_001, "longer than"),
        ("(" * 200 + "a" + ")" * 200, "nested"),
        ("\\ud800", "surrogate"),
    ],
)
def test_patterns_that_no_constraint_supports_are_refused(pattern: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        read_schema({"type": "object", "properties": {"code": {"pattern": pattern}}})
    assert str(error.value).startswith("code: ")


def test_strings_of_json_have_every_spelling_and_a_length_in_characters() -> None:
    is_valid = reader(_constraint(Strings(min_length=2, max_length=3)))
    assert is_valid(r"\u00e9\ud834\udd1e" + "𝄞")
    for text in (r"\"", "a\nb", r"\ud834a", r"\x41b", 'a"', "abcd", r"ab\u0041\n"):
        assert not is_valid(text), text


def test_several_rules_hold_together() -> None:
    strings = Strings(max_length=4, patterns=("^a+$", "a{2}"))
    is_valid = reader(_constraint(strings))
    assert [is_valid("a" * size) for size in range(6)] == [0, 0, 1, 1, 1, 0]
    assert check_constraint(_constraint(Strings(max_length=1, patterns=("^ab$",))))


def test_lengths_that_a_pattern_implies_need_no_grammar() -> None:
    for strings, kind in (
        (Strings(max_length=7, patterns=("^[A-Z]{2}-[0-9]{4}$",)), "regex"),
        (Strings(max_length=6, patterns=("^[A-Z]{2}-[0-9]{4}$",)), "grammar"),
        (Strings(max_length=9, patterns=("^[a-z]+$",)), "grammar"),
        (Strings(min_length=1, patterns=("^[a-z]+$",)), "regex"),
        (Strings(max_length=9, patterns=("^a|b$",)), "grammar"),
    ):
        assert _constraint(strings).kind == kind


def _constraint(strings: Strings) -> Constraint:
    constraint = Constraint.from_arguments(**json_constraint(Scalar(strings=(strings,))))
    assert constraint is not None
    return constraint


#: Valid texts, and texts that are not.
FORMAT_TEXTS = {
    "time": (("23:59:59Z", "12:00:00.5+01:30"), ("24:00:00Z", "12:00:00", "1:00:00Z", "12:60:00Z")),
    "date-time": (
        ("2024-02-29T00:00:00Z",),
        ("2024-02-30T00:00:00Z", "2024-02-29 00:00:00Z", "2024-02-29"),
    ),
    "uuid": (("123e4567-e89b-12d3-a456-426614174000",), ("123e4567e89b12d3a456426614174000",)),
    "ipv4": (("0.0.0.0", "255.255.255.255"), ("256.1.1.1", "1.2.3", "01.2.3.4")),
    "ipv6": (
        ("::", "::1", "1::", "1:2:3:4:5:6:7:8", "1::8", "1:2:3:4:5:6:7::"),
        ("1:2:3:4:5:6:7", "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9", ":1", "1:2:3:4:5:6:7::8"),
    ),
    "email": (("a@b.de", "a.b+c@x-y.example.org"), ("a@b", "@b.de", "a b@c.de", "a@-b.de")),
    "hostname": (("localhost", "a-b.example.org"), ("-a", "a..b", "a_b")),
    "uri": (
        ("https://example.org/a?b".replace("?", ";"), "http://a.de:80"),
        ("example.org", "http://"),
    ),
}


@pytest.mark.parametrize("name", FORMAT_TEXTS)
def test_formats_accept_valid_texts_and_no_others(name: str) -> None:
    is_valid = reader(Constraint(kind="regex", source=FORMAT_REGEXES[name]))
    valid, invalid = FORMAT_TEXTS[name]
    assert {text: is_valid(text) for text in (*valid, *invalid)} == {
        **dict.fromkeys(valid, True),
        **dict.fromkeys(invalid, False),
    }


def test_dates_are_those_of_the_calendar() -> None:
    regex = re.compile(FORMAT_REGEXES["date"])
    for year in (0, 1, 4, 100, 400, 1900, 1999, 2000, 2023, 2024, 2100, 9999):
        for month in range(14):
            for day in (0, 1, 9, 10, 28, 29, 30, 31, 32):
                try:
                    dt.date(year, month, day)
                    is_valid = True
                except ValueError:
                    is_valid = False
                text = f"{year:04}-{month:02}-{day:02}"
                assert bool(regex.fullmatch(text)) == is_valid, text


def test_durations_and_addresses_are_read_by_pydantic() -> None:
    for text in ("P1DT2H", "PT5M", "P2W", "PT1S"):
        assert re.fullmatch(FORMAT_REGEXES["duration"], text)
        assert TypeAdapter(dt.timedelta).validate_python(text)
    generator = random.Random(0)
    for _ in range(count(normal=30, soak=2000)):
        groups = [f"{generator.getrandbits(16):x}" for _ in range(8)]
        start = generator.randrange(9)
        text = ":".join(groups)
        if start < 8:
            end = generator.randint(start + 1, 8)
            text = ":".join(groups[:start]) + "::" + ":".join(groups[end:])
        assert IPv6Address(text)
        assert re.fullmatch(FORMAT_REGEXES["ipv6"], text), text


def test_plain_text_has_no_line_break_and_not_the_sign_that_follows() -> None:
    regex = pattern_regex("^.{1,3}$", plain_line("\n;"))
    is_valid = reader(Constraint(kind="regex", source=regex))
    assert is_valid('a"\\')
    assert not any(is_valid(text) for text in ("a;", "a\nb", "", "abcd"))
