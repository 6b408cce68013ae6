"""Constants of a schema: which are valid, and that none takes long."""

from __future__ import annotations

import time
from typing import Any

import pytest

from autocog_core.records.parts import Values
from autocog_core.records.schema_reader import read_schema


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ({"enum": ["a1", "b", 5], "pattern": "[0-9]"}, ("a1", 5)),
        ({"enum": ['"é\n😀', "é"], "pattern": '^"é\\n.$'}, ('"é\n😀',)),
        ({"enum": ["b\n", "b"], "pattern": "b$"}, ("b",)),
        ({"enum": ["a", "ab", "abc"], "minLength": 2, "maxLength": 2}, ("ab",)),
        ({"enum": [1.0, 1, True, 2], "const": 1}, (1.0,)),
        ({"enum": [0, 1, 2, "x", True], "exclusiveMinimum": 0, "maximum": 1}, (1, "x", True)),
        ({"enum": [{"a": 1}, [1], None], "type": ["object", "null"]}, ({"a": 1}, None)),
    ],
)
def test_constants_are_those_that_the_other_keys_allow(
    schema: dict[str, Any], values: tuple[Any, ...]
) -> None:
    assert read_schema(schema) == Values(values=values)


def test_the_time_does_not_grow_with_the_square_of_their_number() -> None:
    begin = time.monotonic()
    read_schema({"enum": list(range(5000))})
    assert time.monotonic() - begin < 5


def test_no_pattern_takes_for_ever() -> None:
    """Python's own expressions would try 2 ** 40 ways, and stop a whole server meanwhile."""
    schema = {"enum": ["a" * 40 + "!", "aaa"], "pattern": "^(a+)+$"}
    assert read_schema(schema) == Values(values=("aaa",))
