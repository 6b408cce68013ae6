"""A limit on the work for one text: programs, and so templates, may be untrusted."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from autocog_core.automaton.templates.field_values import without_prob
from autocog_core.errors import InputError

#: Work for one text: characters and items that pass through its loops, filters and operators, and
#: into it. Each pass of a loop, and each item of a new list, counts `_COST_PER_ITEM`.
MAX_WORK = 10_000_000
_COST_PER_ITEM = 10
#: Time for one text, because some work is not counted.
MAX_SECONDS = 5.0
#: When the time for all texts together ends.
_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)
_TYPE_LABELS: Mapping[type, str] = {
    type(None): "nothing",
    str: "a text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    dict: "a mapping",
    list: "a list",
    tuple: "a list",
}


@contextmanager
def limit_seconds(seconds: float | None) -> Iterator[None]:
    """Limit the time that all texts of a block take together.

    :param seconds: the time; None for no limit.
    """
    if seconds is None:
        yield
        return
    token = _deadline.set(min(_deadline.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


class WorkLimit:
    """The work that is left for one text.

    :ivar opening: marks the beginning of each inserted value; "" for no marks.
    :ivar closing: marks the end of each inserted value.
    """

    def __init__(self, opening: str = "", closing: str = "") -> None:
        self.opening = opening
        self.closing = closing
        self._work_left = MAX_WORK
        self._deadline = time.monotonic() + MAX_SECONDS

    def spend(self, work: int) -> None:
        """Count work before it is done.

        :raises InputError: if it exceeds the limit.
        """
        self._work_left -= work
        if self._work_left < 0:
            raise InputError(
                f"processes more than {MAX_WORK} characters and items",
                where="template",
                hint="shorten its loops or inputs",
            )
        now = time.monotonic()
        if now > _deadline.get():
            raise InputError(
                "takes, with all texts before it, longer than the run may",
                where="template",
                hint="shorten the loops or inputs",
            )
        if now > self._deadline:
            raise InputError(
                f"takes longer than {MAX_SECONDS:g} seconds",
                where="template",
                hint="shorten its loops or inputs",
            )

    def counted(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield the items, and count each of them."""
        for item in items:
            self.spend(_COST_PER_ITEM)
            yield item


def size_of(value: Any) -> int:
    """Return the number of characters or items of a value, without those inside its items."""
    return len(value) if isinstance(value, str | list | tuple | dict) else 1


def allocation_cost(value: Any) -> int:
    """Return the cost of a new value: an item takes more memory than a character."""
    return size_of(value) * (1 if isinstance(value, str) else _COST_PER_ITEM)


def rendered_size(value: Any, limit: int = MAX_WORK) -> int:
    """Return a lower bound of the number of characters of a value as text.

    A list may have the same long text many times. So the count stops once it exceeds `limit`.

    :raises InputError: for an iterator.
    """
    total = 0
    stack = [value]
    while stack and total <= limit:
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
                # Its text would only be its address in memory.
                raise InputError("expected a list", where="template", hint='add "| list"')
    return total


def type_label(value: Any) -> str:
    """Return the type of a value in words, with an article."""
    value = without_prob(value)
    return next(
        (label for type_, label in _TYPE_LABELS.items() if isinstance(value, type_)), "a value"
    )
