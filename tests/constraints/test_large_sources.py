"""Large constraints take a time that grows with their size, and not with its square."""

from __future__ import annotations

import time

import pytest

from autocog_core.constraints.grammar_recursion import find_endless_rule
from autocog_core.constraints.llguidance_calls import MAX_RULES, check_size


@pytest.mark.parametrize("text", ["\n", "\r\n", " ", "a", "a\n", "[", "a[", "?\n"])
def test_a_large_grammar_takes_no_long_time(text: str) -> None:
    source = text * (100_000 // len(text))
    begin = time.monotonic()
    check_size(source, "grammar")
    find_endless_rule(source)
    assert time.monotonic() - begin < 5


def test_rules_are_counted_wherever_they_begin() -> None:
    assert "2,001 rules" in check_size("\n \t?a :\n\n\n" * (MAX_RULES + 1), "grammar")
    assert not check_size("\n \t?a :\n\n\n" * MAX_RULES, "grammar")
