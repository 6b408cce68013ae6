"""A forest in parts that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autocog_core.toolkit import PrefixForest


def portions(forest: PrefixForest, sequences: int, cells: int) -> Iterator[list[int]]:
    """Nodes in depth-first order: each part some paths, whole.

    :param sequences: how many paths a part may have. `cells`: how many nodes.
    """
    order = forest.depth_first()
    has_child = set(forest.parents)
    portion: list[int] = []
    ends = 0
    for place, node in enumerate(order):
        portion.append(node)
        if node in has_child:
            continue
        ends += 1
        # The next path adds at most what lies before its own end.
        following = _until_end(order, place + 1, has_child)
        if ends == sequences or len(portion) + following > cells:
            yield portion
            ends = 0
            portion = forest.path_to(forest.parents[order[place + 1]]) if following else []
    if ends:
        yield portion


def _until_end(order: Sequence[int], place: int, has_child: set[int]) -> int:
    count = 0
    while place + count < len(order) and order[place + count] in has_child:
        count += 1
    return count + 1 if place < len(order) else 0
