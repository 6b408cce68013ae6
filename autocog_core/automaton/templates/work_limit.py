"""How much may be done for one text of a program: strangers write templates, too."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from autocog_core.errors import InputError

#: Characters and items that go through the loops, filters and operators of one text, and into it;
#: a loop's pass, and an item that is made, count as several.
MOST_WORK = 10_000_000
_ITEM = 10
#: Seconds that it may take, whatever it does.
MOST_SECONDS = 5.0
_KINDS: Mapping[type, str] = {
    type(None): "nothing",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    dict: "a mapping",
    list: "a list",
    tuple: "a list",
}


class WorkLimit:
    """What is left of the bounds on one text; and the marks around what is put into it."""

    def __init__(self, opening: str = "", closing: str = "") -> None:
        self.opening = opening
        self.closing = closing
        self._left = MOST_WORK
        self._deadline = time.monotonic() + MOST_SECONDS

    def take(self, amount: int) -> None:
        """Count what is about to be done.

        :raises InputError: if it is too much.
        """
        self._left -= amount
        if self._left < 0:
            raise InputError(
                f"more than {MOST_WORK} characters and items go through it",
                where="template",
            )
        if time.monotonic() > self._deadline:
            raise InputError(f"it takes longer than {MOST_SECONDS:g} seconds", where="template")

    def over(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items of a loop, each of them counted."""
        for item in items:
            self.take(_ITEM)
            yield item


def size_of(value: Any) -> int:
    """How many characters or items a value has by itself."""
    return len(value) if isinstance(value, str | list | tuple | dict) else 1


def allocation_cost(value: Any) -> int:
    """What a value costs that was made: an item takes more room than a character."""
    return size_of(value) * (1 if isinstance(value, str) else _ITEM)


def rendered_size(value: Any, most: int = MOST_WORK) -> int:
    """At least how many characters a value has when it is written out; more than `most`: too many.

    Lists may hold the same long text many times.
    """
    total = 0
    stack = [value]
    while stack and total <= most:
        current = stack.pop()
        total += 1
        match current:
            case str():
                total += len(current)
            case Mapping():
                stack += [*current.keys(), *current.values()]
            case list() | tuple():
                stack += current
            case Iterator():
                # It says nothing but where it lies in memory.
                raise InputError("a list is wanted", where="template", hint='add "| list"')
    return total


def type_label(value: Any) -> str:
    """What a value is, in words."""
    return next((name for kind, name in _KINDS.items() if isinstance(value, kind)), "a value")
