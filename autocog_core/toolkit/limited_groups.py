"""Items in groups of limited size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def limited_groups(
    items: Iterable[Item], sizes_of: Callable[[Item], Sequence[int]], limits: Sequence[int]
) -> Iterator[list[Item]]:
    """Yield items in their order, in groups that are as large as the limits allow.

    An item that exceeds a limit is alone in its group.

    :param items: the items.
    :param sizes_of: returns the sizes of an item, such as 1, its tokens and its choices.
    :param limits: for each of these sizes: the most that a group has together.
    """
    group: list[Item] = []
    totals = [0] * len(limits)
    for item in items:
        sizes = sizes_of(item)
        sums = [total + size for total, size in zip(totals, sizes, strict=True)]
        if group and any(total > limit for total, limit in zip(sums, limits, strict=True)):
            yield group
            group, sums = [], list(sizes)
        group.append(item)
        totals = sums
    if group:
        yield group
