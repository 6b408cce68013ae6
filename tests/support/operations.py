"""How much work a call is, in operations: the clock of a busy machine says little about that."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def count_calls(function: Callable[[], object]) -> int:
    """How many functions are called while this one runs, Python's own included."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


def growth(function: Callable[[int], Callable[[], object]], small: int, large: int) -> float:
    """How many times the work for `small` the work for `large` is.

    :param function: makes the call for a size; what it takes to make it is not counted.
    """
    function(small)()
    return count_calls(function(large)) / count_calls(function(small))
