"""Items in groups of limited size: in order, none lost, none too large."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autocog_core.toolkit import limited_groups

SIZES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)))


@given(SIZES, st.integers(1, 20), st.integers(1, 20))
def test_groups_keep_the_order_and_the_limits(
    items: list[tuple[int, int]], first: int, second: int
) -> None:
    groups = list(limited_groups(items, lambda sizes: sizes, (first, second)))

    assert [item for group in groups for item in group] == items
    for group, following in zip(groups, [*groups[1:], [(99, 99)]], strict=bool(groups)):
        totals = [sum(column) for column in zip(*group, strict=True)]
        assert len(group) == 1 or (totals[0] <= first and totals[1] <= second)
        # The next item would be too much.
        assert totals[0] + following[0][0] > first or totals[1] + following[0][1] > second
