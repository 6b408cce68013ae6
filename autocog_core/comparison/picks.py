"""Picks of two models that differ."""

from __future__ import annotations

from collections.abc import Sequence

from autocog_core.comparison.item_result import ItemResult, Pick
from autocog_core.types.comparison_parts import Flip

#: The index of each item, and what both models made of it.
Pairs = Sequence[tuple[int, ItemResult, ItemResult]]


def find_flips(pairs: Pairs) -> tuple[list[Flip], int]:
    """Return the picks that differ, clearest first, and the number of all picks."""
    flips = []
    count = 0
    missing = Pick(value="", prob=None, margin=None)
    for item, first, second in pairs:
        for name in dict.fromkeys([*first.picks, *second.picks]):
            count += 1
            one, other = first.picks.get(name), second.picks.get(name)
            if one is not None and other is not None and _is_same(one, other):
                continue
            flips.append(
                Flip(
                    item=item,
                    field=name,
                    first=None if one is None else one.value,
                    second=None if other is None else other.value,
                    first_prob=(one or missing).prob,
                    second_prob=(other or missing).prob,
                    first_margin=(one or missing).margin,
                )
            )
    flips.sort(key=lambda flip: -1.0 if flip.first_margin is None else flip.first_margin)
    return flips[::-1], count


def _is_same(first: Pick, second: Pick) -> bool:
    # 1 and true are different values.
    return type(first.value) is type(second.value) and first.value == second.value
