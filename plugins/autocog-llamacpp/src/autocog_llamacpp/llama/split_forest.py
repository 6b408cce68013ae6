"""Splits a forest into parts that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autocog_core.toolkit import PrefixForest


def split_forest(forest: PrefixForest, sequences: int, cells: int) -> Iterator[list[int]]:
    """Yield parts of whole paths: nodes in depth-first order, with all their ancestors.

    :param sequences: maximum number of paths in a part.
    :param cells: maximum number of nodes in a part.
    """
    order = forest.depth_first()
    has_child = set(forest.parents)
    part: list[int] = []
    paths = 0
    for index, node in enumerate(order):
        part.append(node)
        if node in has_child:
            continue
        paths += 1
        # The next path adds at most the nodes before its end.
        added = _nodes_to_end(order, index + 1, has_child)
        if paths == sequences or len(part) + added > cells:
            yield part
            paths = 0
            part = forest.path_to(forest.parents[order[index + 1]]) if added else []
    if paths:
        yield part


def _nodes_to_end(order: Sequence[int], index: int, has_child: set[int]) -> int:
    count = 0
    while index + count < len(order) and order[index + count] in has_child:
        count += 1
    return count + 1 if index < len(order) else 0
