"""The tokens of one forward over a kept tree, in one row or in several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from autocog_core.toolkit import PrefixForest
from autocog_tf.evaluators.batch_plan import Step
from autocog_tf.evaluators.kv_cache_tree import KVCacheTree, RowGather

Int64Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What a forward is given, and where its results go.

    :ivar tokens: int64 (rows, n). `depths`: int64 (rows, past + n), tokens before each.
    :ivar visible: bool (rows, n, past + n): what each new token attends to.
    :ivar keep: int64 (k,), the columns whose logits are computed.
    :ivar wanted: nodes whose logits are read; `places`: int64, where in the rows' logits, (rows x
        k,), they stand.
    :ivar new: nodes that the kept tree takes over. `parents`: the tree's nodes above them.
    :ivar rows: how the kept tree is read and written; None for one row, which sees all of it.
    """

    tokens: Int64Array
    depths: Int64Array
    visible: NDArray[np.bool_]
    keep: Int64Array
    wanted: list[int]
    places: Int64Array
    new: list[int]
    parents: list[int]
    rows: RowGather | None = None


def batch_single_row(
    tree: KVCacheTree, forest: PrefixForest, place: Int64Array, nodes: Sequence[int]
) -> Batch:
    """All nodes in one row: first those that are new to the tree, which go to their `place`."""
    known = len(tree)
    new = [node for node in nodes if place[node] < 0]
    parents = []
    for position, node in enumerate(nodes):
        parent = forest.parents[node]
        parents.append(int(place[parent]) if parent >= 0 else -1)
        if position < len(new):
            place[node] = known + position
    depths = np.array(tree.depths + [0] * len(nodes), dtype=np.int64)
    for position, parent in enumerate(parents):
        depths[known + position] = depths[parent] + 1 if parent >= 0 else 0
    columns = [position for position, node in enumerate(nodes) if forest.needs_row[node]]
    return Batch(
        np.array([[forest.tokens[node] for node in nodes]], dtype=np.int64),
        depths[None],
        _visible(tree, parents)[None],
        np.array(columns or [len(nodes) - 1], dtype=np.int64),
        [nodes[column] for column in columns],
        np.arange(len(columns)),
        new,
        parents[: len(new)],
    )


def _visible(tree: KVCacheTree, parents: Sequence[int]) -> NDArray[np.bool_]:
    """Bool (n, known + n): which tokens each new one attends to: its ancestors and itself."""
    known, count = len(tree), len(parents)
    visible = np.zeros((count, known + count), dtype=bool)
    above: dict[int, list[int]] = {}
    for position, parent in enumerate(parents):
        if parent >= known:
            visible[position] = visible[parent - known]
        elif parent >= 0:
            if parent not in above:
                above[parent] = tree.ancestors(parent)
            visible[position, above[parent]] = True
        visible[position, known + position] = True
    return visible


def batch_rows(tree: KVCacheTree, forest: PrefixForest, place: Int64Array, step: Step) -> Batch:
    """Rows of their own, padded; new nodes get their `place` in the tree.

    The nodes whose logits are wanted stand first in every row, so that few others are computed.
    """
    known, count = len(tree), len(step)
    width = max(map(len, step))
    answered: set[int] = set()
    columns: list[dict[int, int]] = []
    wanted: list[tuple[int, int, int]] = []
    for number, row in enumerate(step):
        # What stands in several rows is read from the first of them.
        asked = [node for node in row if forest.needs_row[node] and node not in answered]
        answered.update(asked)
        wanted += [(number, column, node) for column, node in enumerate(asked)]
        first = set(asked)
        order = asked + [node for node in row if node not in first]
        columns.append({node: column for column, node in enumerate(order)})
    above = [_kept_above(tree, forest, place, row) for row in step]
    pasts = [sorted({kept for path in paths.values() for kept in path}) for paths in above]
    past = max(map(len, pasts))

    tokens = np.zeros((count, width), dtype=np.int64)
    depths = np.zeros((count, past + width), dtype=np.int64)
    visible = np.zeros((count, width, past + width), dtype=bool)
    # By row and rank (parents first): the columns of a node and of its parent in the same row.
    own = np.full((count, width), -1, dtype=np.int64)
    parent_of = np.full((count, width), -1, dtype=np.int64)
    for number, row in enumerate(step):
        at = columns[number]
        found = np.array(pasts[number], dtype=np.int64)
        depths[number, : len(found)] = [tree.depths[kept] for kept in pasts[number]]
        for rank, node in enumerate(row):
            column, parent = at[node], forest.parents[node]
            own[number, rank] = column
            tokens[number, column] = forest.tokens[node]
            if parent < 0:
                continue
            if place[parent] < 0:
                parent_of[number, rank] = at[parent]
                depths[number, past + column] = depths[number, past + at[parent]] + 1
            else:
                path = above[number][int(place[parent])]
                visible[number, column, np.searchsorted(found, path)] = True
                depths[number, past + column] = len(path)
    for rank in range(width):
        below = np.flatnonzero(parent_of[:, rank] >= 0)
        visible[below, own[below, rank]] = visible[below, parent_of[below, rank]]
        here = np.flatnonzero(own[:, rank] >= 0)
        visible[here, own[here, rank], past + own[here, rank]] = True
    # Padding attends to itself: rows of a mask without anything give NaN.
    visible[:, np.arange(width), past + np.arange(width)] = True

    new, written = _new_nodes(place, step, columns, width)
    place[new] = known + np.arange(len(new))
    kept_width = max([column for _, column, _ in wanted], default=0) + 1
    return Batch(
        tokens,
        depths,
        visible,
        np.arange(kept_width),
        [node for _, _, node in wanted],
        np.array([number * kept_width + column for number, column, _ in wanted], dtype=np.int64),
        new,
        [_place_above(forest, place, node) for node in new],
        RowGather(_as_index(pasts, past), torch.from_numpy(written)),
    )


def _kept_above(
    tree: KVCacheTree, forest: PrefixForest, place: Int64Array, row: Sequence[int]
) -> dict[int, list[int]]:
    """The kept nodes that a row's nodes follow directly, each with all up to it, first to last."""
    starts = {_place_above(forest, place, node) for node in row}
    return {start: sorted(tree.ancestors(start)) for start in starts if start >= 0}


def _place_above(forest: PrefixForest, place: Int64Array, node: int) -> int:
    parent = forest.parents[node]
    return int(place[parent]) if parent >= 0 else -1


def _new_nodes(
    place: Int64Array, step: Step, columns: Sequence[dict[int, int]], width: int
) -> tuple[list[int], Int64Array]:
    """Nodes that the tree has not, parents first, and where each stands first: row x n + column."""
    found: dict[int, int] = {}
    for number, row in enumerate(step):
        for node in row:
            if place[node] < 0:
                found.setdefault(node, number * width + columns[number][node])
    new = sorted(found)
    return new, np.array([found[node] for node in new], dtype=np.int64)


def _as_index(pasts: Sequence[list[int]], past: int) -> torch.Tensor:
    """int64 (rows, past): what each row reads, padded with what nothing attends to.

    (1, past) if all read the same.
    """
    if all(found == pasts[0] for found in pasts):
        return torch.tensor([pasts[0]], dtype=torch.int64)
    padded = [found + [0] * (past - len(found)) for found in pasts]
    return torch.tensor(padded, dtype=torch.int64)
