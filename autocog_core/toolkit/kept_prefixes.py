"""Which prefixes an engine keeps, so that it evaluates few tokens for the rows after them."""

from __future__ import annotations

from collections.abc import Collection

from autocog_core.toolkit.prefix_forest import PrefixForest

#: The parent of first tokens: the empty prefix.
NOTHING = -1
#: Above the number of every node.
NOT_PASSED = 1 << 62


def rows_from_scratch(forest: PrefixForest) -> dict[int, list[int]]:
    """Return the ends of the rows that together pass every node that needs a row.

    :returns: by the last node of the prefix before the rows, which is always `NOTHING`.
    """
    homes = [NOTHING] * len(forest)
    return _row_ends(forest, homes)


def rows_after_prefixes(forest: PrefixForest, roots: Collection[int]) -> dict[int, list[int]]:
    """Return the prefixes to keep, and the ends of the rows after each of them.

    A prefix ends before the last token of a query's prefix, because a row must begin with the first
    token whose logits are needed. Several queries have one prefix, the beginning that they share,
    where that takes fewer tokens than a prefix for each.

    :param roots: the last nodes of the queries' prefixes.
    :returns: the ends of the rows, by the last node of their prefix (`NOTHING`: no prefix).
    """
    homes = _nearest_homes(forest, roots)
    kept = _cheapest_prefixes(forest, homes)
    return _row_ends(forest, [kept[home] for home in homes])


def _nearest_homes(forest: PrefixForest, roots: Collection[int]) -> list[int]:
    """Return the node before the nearest root at or above each node: the longest prefix to keep."""
    homes: list[int] = []
    for node, parent in enumerate(forest.parents):
        above = homes[parent] if parent >= 0 else NOTHING
        homes.append(parent if node in roots else above)
    return homes


def _row_ends(forest: PrefixForest, homes: list[int]) -> dict[int, list[int]]:
    """Return the last nodes of rows, by the node `homes[end]` after which they begin.

    A node needs no row of its own if the row of a node below it passes it.
    """
    #: Where the earliest of the rows begin that pass a node; NOT_PASSED if there are none.
    starts = [NOT_PASSED] * len(forest)
    ends: dict[int, list[int]] = {}
    for node in range(len(forest) - 1, -1, -1):
        if forest.needs_row[node] and starts[node] == NOT_PASSED:
            ends.setdefault(homes[node], []).append(node)
            starts[node] = homes[node]
        parent = forest.parents[node]
        # A row that begins after the parent does not pass it. A node above has a lower number.
        if parent >= 0 and starts[node] < parent:
            starts[parent] = min(starts[parent], starts[node])
    return {home: nodes[::-1] for home, nodes in ends.items()}


def _cheapest_prefixes(forest: PrefixForest, homes: list[int]) -> dict[int, int]:
    """Return for each home the prefix to keep: the home itself, or a node above it.

    A prefix costs its tokens once, and each row the tokens after the prefix. Of two ways, each node
    takes the cheaper one: one prefix that ends there, for all rows below it, or several below it.
    """
    # The last entry of each list is that of `NOTHING`.
    size = len(forest) + 1
    depths = [0] * size
    for node, parent in enumerate(forest.parents):
        depths[node] = depths[parent] + 1
    #: Of the rows that begin at or below a node: their number, and the sum of their ends' depths.
    rows, ends_depth = [0] * size, [0] * size
    #: The cost of several prefixes at or below a node.
    cost_apart = [0] * size
    for home, ends in _row_ends(forest, homes).items():
        rows[home] = len(ends)
        ends_depth[home] = sum(depths[end] for end in ends)
        cost_apart[home] = depths[home] + ends_depth[home] - rows[home] * depths[home]
    is_end = [False] * size
    for node in (*range(len(forest) - 1, -1, -1), NOTHING):
        cost_together = depths[node] + ends_depth[node] - rows[node] * depths[node]
        is_end[node] = cost_together < cost_apart[node]
        if node != NOTHING:
            parent = forest.parents[node]
            rows[parent] += rows[node]
            ends_depth[parent] += ends_depth[node]
            cost_apart[parent] += min(cost_together, cost_apart[node])
    #: The end of the prefix for all rows below a node; None where there are several.
    prefix_ends: list[int | None] = [None] * size
    for node in (NOTHING, *range(len(forest))):
        above = None if node == NOTHING else prefix_ends[forest.parents[node]]
        prefix_ends[node] = node if above is None and is_end[node] else above
    nearest = {home: prefix_ends[home] for home in homes}
    return {home: home if end is None else end for home, end in nearest.items()}
