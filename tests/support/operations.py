"""Measure the work of a call in function calls, because times vary on a busy machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def count_calls(function: Callable[[], object]) -> int:
    """Count the functions that are called while `function` runs, built-in ones included."""
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
    """Return the ratio of the work for size `large` to the work for size `small`.

    :param function: returns the call for a size; making it is not counted.
    """
    function(small)()
    return count_calls(function(large)) / count_calls(function(small))
