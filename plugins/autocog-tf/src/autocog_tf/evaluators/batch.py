"""The inputs of one forward over a cached tree, in one row or in several."""

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """The inputs of a forward, and the destination of its outputs.

    :ivar tokens: int64 (rows, n).
    :ivar depths: int64 (rows, past + n), number of tokens before each token.
    :ivar visible: bool (rows, n, past + n), what each new token attends to.
    :ivar logits_to_keep: int64 (k,), the columns of `tokens` after which logits are computed.
    :ivar output_nodes: forest nodes whose logits are read.
    :ivar output_positions: int64, where these are in the flattened logits (rows x k).
    :ivar new_nodes: forest nodes that the cached tree gets.
    :ivar parents: their parents in the cached tree, -1 for a first token.
    :ivar rows: how the tree is read and extended; None for one row, which sees all of it.
    """

    tokens: Int64Array
    depths: Int64Array
    visible: NDArray[np.bool_]
    logits_to_keep: Int64Array
    output_nodes: list[int]
    output_positions: Int64Array
    new_nodes: list[int]
    parents: list[int]
    rows: RowGather | None = None


def batch_single_row(
    tree: KVCacheTree, forest: PrefixForest, cache_slots: Int64Array, nodes: Sequence[int]
) -> Batch:
    """Return all nodes as one row.

    :param cache_slots: the tree's node for each forest node, -1 if it has none. Changed in place:
        new nodes get their slots.
    :param nodes: forest nodes; those that the tree does not have come first.
    """
    cached = len(tree)
    new_nodes = [node for node in nodes if cache_slots[node] < 0]
    parents = []
    for column, node in enumerate(nodes):
        parents.append(_parent_slot(forest, cache_slots, node))
        if column < len(new_nodes):
            cache_slots[node] = cached + column
    depths = np.array(tree.depths + [0] * len(nodes), dtype=np.int64)
    for column, parent in enumerate(parents):
        depths[cached + column] = depths[parent] + 1 if parent >= 0 else 0
    columns = [column for column, node in enumerate(nodes) if forest.needs_row[node]]
    return Batch(
        tokens=np.array([[forest.tokens[node] for node in nodes]], dtype=np.int64),
        depths=depths[None],
        visible=_visible_in_row(tree, parents)[None],
        logits_to_keep=np.array(columns or [len(nodes) - 1], dtype=np.int64),
        output_nodes=[nodes[column] for column in columns],
        output_positions=np.arange(len(columns)),
        new_nodes=new_nodes,
        parents=parents[: len(new_nodes)],
    )


def _visible_in_row(tree: KVCacheTree, parents: Sequence[int]) -> NDArray[np.bool_]:
    """Return what each new token attends to, its ancestors and itself: bool (n, cached + n)."""
    cached, count = len(tree), len(parents)
    visible = np.zeros((count, cached + count), dtype=bool)
    ancestors: dict[int, list[int]] = {}
    for column, parent in enumerate(parents):
        if parent >= cached:
            visible[column] = visible[parent - cached]
        elif parent >= 0:
            if parent not in ancestors:
                ancestors[parent] = tree.ancestors(parent)
            visible[column, ancestors[parent]] = True
        visible[column, cached + column] = True
    return visible


def batch_rows(
    tree: KVCacheTree, forest: PrefixForest, cache_slots: Int64Array, step: Step
) -> Batch:
    """Return several rows, padded on the right.

    In every row, the nodes that need logits come first, so that few other logits are computed.

    :param cache_slots: as in `batch_single_row`.
    :param step: the forest nodes of each row, parents first.
    """
    cached, count = len(tree), len(step)
    width = max(map(len, step))
    columns, outputs = _place_nodes(forest, step)
    paths = [_cached_paths(tree, forest, cache_slots, row) for row in step]
    pasts = [sorted({slot for path in by_end.values() for slot in path}) for by_end in paths]
    past = max(map(len, pasts))

    tokens = np.zeros((count, width), dtype=np.int64)
    depths = np.zeros((count, past + width), dtype=np.int64)
    visible = np.zeros((count, width, past + width), dtype=bool)
    # By row and rank (parents first): the columns of a node, and of its parent in the same row.
    node_columns = np.full((count, width), -1, dtype=np.int64)
    parent_columns = np.full((count, width), -1, dtype=np.int64)
    for index, row in enumerate(step):
        column_of = columns[index]
        row_past = np.array(pasts[index], dtype=np.int64)
        depths[index, : len(row_past)] = [tree.depths[slot] for slot in pasts[index]]
        for rank, node in enumerate(row):
            column, parent = column_of[node], forest.parents[node]
            node_columns[index, rank] = column
            tokens[index, column] = forest.tokens[node]
            if parent < 0:
                continue
            if cache_slots[parent] < 0:
                parent_columns[index, rank] = column_of[parent]
                depths[index, past + column] = depths[index, past + column_of[parent]] + 1
            else:
                path = paths[index][int(cache_slots[parent])]
                visible[index, column, np.searchsorted(row_past, path)] = True
                depths[index, past + column] = len(path)
    _mark_visible(visible, node_columns, parent_columns, past)

    new_nodes, written = _find_new_nodes(cache_slots, step, columns, width)
    cache_slots[new_nodes] = cached + np.arange(len(new_nodes))
    kept_width = max([column for _, column, _ in outputs], default=0) + 1
    positions = [index * kept_width + column for index, column, _ in outputs]
    return Batch(
        tokens=tokens,
        depths=depths,
        visible=visible,
        logits_to_keep=np.arange(kept_width),
        output_nodes=[node for _, _, node in outputs],
        output_positions=np.array(positions, dtype=np.int64),
        new_nodes=new_nodes,
        parents=[_parent_slot(forest, cache_slots, node) for node in new_nodes],
        rows=RowGather(past=_past_index(pasts, past), written=torch.from_numpy(written)),
    )


def _place_nodes(
    forest: PrefixForest, step: Step
) -> tuple[list[dict[int, int]], list[tuple[int, int, int]]]:
    """Return each row's columns by node, and the outputs: (row, column, node)."""
    columns: list[dict[int, int]] = []
    outputs: list[tuple[int, int, int]] = []
    read: set[int] = set()
    for index, row in enumerate(step):
        # A node in several rows is read from the first of them.
        needed = [node for node in row if forest.needs_row[node] and node not in read]
        read.update(needed)
        outputs += [(index, column, node) for column, node in enumerate(needed)]
        in_front = set(needed)
        order = needed + [node for node in row if node not in in_front]
        columns.append({node: column for column, node in enumerate(order)})
    return columns, outputs


def _mark_visible(
    visible: NDArray[np.bool_], node_columns: Int64Array, parent_columns: Int64Array, past: int
) -> None:
    """Let every token attend to itself and, rank by rank, to what its parent attends to."""
    width = node_columns.shape[1]
    for rank in range(width):
        with_parent = np.flatnonzero(parent_columns[:, rank] >= 0)
        visible[with_parent, node_columns[with_parent, rank]] = visible[
            with_parent, parent_columns[with_parent, rank]
        ]
        rows = np.flatnonzero(node_columns[:, rank] >= 0)
        visible[rows, node_columns[rows, rank], past + node_columns[rows, rank]] = True
    # Padding attends to itself: a row of the mask without any True would give NaN.
    visible[:, np.arange(width), past + np.arange(width)] = True


def _cached_paths(
    tree: KVCacheTree, forest: PrefixForest, cache_slots: Int64Array, row: Sequence[int]
) -> dict[int, list[int]]:
    """Return the cached sequences that a row continues, by their last node, each in order."""
    ends = {_parent_slot(forest, cache_slots, node) for node in row}
    return {end: sorted(tree.ancestors(end)) for end in ends if end >= 0}


def _parent_slot(forest: PrefixForest, cache_slots: Int64Array, node: int) -> int:
    parent = forest.parents[node]
    return int(cache_slots[parent]) if parent >= 0 else -1


def _find_new_nodes(
    cache_slots: Int64Array, step: Step, columns: Sequence[dict[int, int]], width: int
) -> tuple[list[int], Int64Array]:
    """Return nodes that are not cached, parents first, and their indices in the flattened rows."""
    position: dict[int, int] = {}
    for index, row in enumerate(step):
        for node in row:
            if cache_slots[node] < 0:
                position.setdefault(node, index * width + columns[index][node])
    nodes = sorted(position)
    return nodes, np.array([position[node] for node in nodes], dtype=np.int64)


def _past_index(pasts: Sequence[list[int]], past: int) -> torch.Tensor:
    """Return the nodes that each row reads, int64 (rows, past); (1, past) if all are equal.

    Shorter rows are padded with node 0, which their mask hides.
    """
    if all(row_past == pasts[0] for row_past in pasts):
        return torch.tensor([pasts[0]], dtype=torch.int64)
    padded = [row_past + [0] * (past - len(row_past)) for row_past in pasts]
    return torch.tensor(padded, dtype=torch.int64)
