"""One forward for whole trees of tokens, each of which attends to its own ancestors only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from autocog_core.toolkit import PrefixForest
from autocog_tf.evaluators.batch import batch_rows, batch_single_row
from autocog_tf.evaluators.batch_plan import (
    MAX_PADDING_TOKENS,
    NEVER_BATCH,
    BatchPlanner,
    CostModel,
    Limits,
    Step,
)
from autocog_tf.evaluators.evaluator import Forward, Sink
from autocog_tf.evaluators.kv_cache_tree import KVCacheTree
from autocog_tf.evaluators.masks import AttentionMasks

#: Most trees kept; the bytes they may hold are an option.
MAX_TREES = 16
#: Logits of one forward, wanted rows x vocabulary, by kind of device.
MAX_LOGITS = {"cpu": 64 << 20, "mps": 64 << 20, "cuda": 256 << 20}
#: How many times as many tokens go into a forward of several rows: their attention costs less.
ROW_CHUNK_FACTOR = {"cpu": 1, "mps": 2, "cuda": 4}
MIN_CHUNK_TOKENS = 16


class AttentionEvaluator:
    """Evaluates forests over trees of keys and values kept from earlier calls.

    :param cache_bytes: how much the kept trees may hold together.
    :param chunk: most tokens in one forward.
    :param windows: attention window by layer type; a model with one kind of layers has "".
    :ivar costs: what tells whether the trees of several queries go side by side, as rows of their
        own, or into one row; None: always one.
    """

    def __init__(
        self,
        forward: Forward,
        cache_bytes: int,
        chunk: int,
        windows: dict[str, int | None],
        costs: CostModel | None = NEVER_BATCH,
    ) -> None:
        self._forward = forward
        self._cache_bytes = cache_bytes
        self._chunk = self._whole_chunk = chunk
        self.name = "one forward a tree"
        if costs is None:
            self.name += ", never several rows"
        self._masks = AttentionMasks(forward, windows)
        #: Whether all layers attend to all that came before.
        self.one_kind = self._masks.one_kind
        self.costs = costs
        #: Most recently used last.
        self._trees: list[KVCacheTree] = []

    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """Evaluate what no kept tree holds, in as few forwards as the limits allow."""
        tree, place = self._tree_for(forest)
        steps = BatchPlanner(forest, place, len(tree), self._limits).steps(self.costs)
        try:
            for number, step in enumerate(steps):
                place = self._make_room(tree, forest, place, steps[number:])
                self._run(tree, forest, place, step, sink)
        except BaseException:
            # Whatever stopped it may have left a forward half done.
            self._trees = [kept for kept in self._trees if kept is not tree]
            raise
        self._evict()

    def longest_cached_prefix(self, tokens: Sequence[int]) -> tuple[KVCacheTree | None, list[int]]:
        """The kept tree that holds most of a sequence's beginning, and the nodes of that part."""
        best: tuple[KVCacheTree | None, list[int]] = (None, [])
        for tree in self._trees:
            nodes: list[int] = []
            node = -1
            for token in tokens:
                child = tree.child(node, token)
                if child is None:
                    break
                nodes.append(child)
                node = child
            if len(nodes) > len(best[1]):
                best = tree, nodes
        return best

    def forget(self) -> None:
        """Drop all kept trees."""
        self._trees = []

    def shrink(self) -> bool:
        """Halve the tokens in one forward."""
        if self._chunk // 2 < MIN_CHUNK_TOKENS:
            return False
        self._chunk //= 2
        return True

    def restore(self) -> None:
        """Take as many tokens in one forward as at first."""
        self._chunk = self._whole_chunk

    def _tree_for(self, forest: PrefixForest) -> tuple[KVCacheTree, NDArray[np.int64]]:
        """The tree to go on with, and the tree's node for each of the forest's (-1: none)."""
        best: KVCacheTree | None = None
        place = np.full(len(forest), -1, dtype=np.int64)
        known = 0
        for tree in self._trees:
            found = _map_to_cache(tree, forest)
            count = int((found >= 0).sum())
            if count >= known and count > 0:
                best, place, known = tree, found, count
        if best is None:
            best = KVCacheTree()
        elif len(best) > 2 * known + MAX_PADDING_TOKENS:
            # Mostly of no use here, and worth keeping for others as it is.
            best, renumbered = best.copy_of(np.sort(place[place >= 0]))
            place = _renumber(place, renumbered)
        self._trees = [tree for tree in self._trees if tree is not best]
        self._trees.append(best)
        return best, place

    @property
    def _limits(self) -> Limits:
        vocabulary = self._forward.model.config.get_text_config().vocab_size
        device = self._forward.device.type
        logits = MAX_LOGITS.get(device, MAX_LOGITS["cuda"])
        padded = self._chunk * ROW_CHUNK_FACTOR.get(device, ROW_CHUNK_FACTOR["cuda"])
        return Limits(self._chunk, padded, max(1, logits // vocabulary))

    def _make_room(
        self,
        tree: KVCacheTree,
        forest: PrefixForest,
        place: NDArray[np.int64],
        steps: Sequence[Step],
    ) -> NDArray[np.int64]:
        """Drop nodes that the rest of the work does not need, if they are in the way."""
        if len(steps[0]) == 1:
            used = _ancestors_in(tree, forest, place, steps[0][0])
            crowded = len(tree) > 2 * len(used) + MAX_PADDING_TOKENS
        else:
            # Rows read what they need and nothing else: only memory counts.
            crowded = tree.bytes > self._cache_bytes
        if not crowded:
            return place
        work = [node for step in steps for row in step for node in row]
        needed = _ancestors_in(tree, forest, place, work)
        return _renumber(place, tree.compact(np.array(sorted(needed), dtype=np.int64)))

    def _run(
        self,
        tree: KVCacheTree,
        forest: PrefixForest,
        place: NDArray[np.int64],
        step: Step,
        sink: Sink,
    ) -> None:
        """One forward, whose new nodes are then the tree's."""
        if len(step) == 1:
            batch = batch_single_row(tree, forest, place, step[0])
        else:
            batch = batch_rows(tree, forest, place, step)
        device = self._forward.device
        tree.access.rows = None if batch.rows is None else batch.rows.on(device)
        logits = self._forward(
            torch.from_numpy(batch.tokens).to(device),
            torch.from_numpy(batch.keep).to(device),
            cache=tree.cache,
            mask=self._masks.of(batch),
            positions=torch.from_numpy(batch.depths[:, -batch.tokens.shape[1] :]).to(device),
        )
        tree.commit([forest.tokens[node] for node in batch.new], batch.parents)
        for row in step:
            forest.count_evaluated(row)
        if batch.wanted:
            rows = logits.flatten(0, 1)
            if len(batch.places) < len(rows):
                rows = rows[torch.from_numpy(batch.places).to(device)]
            sink(batch.wanted, rows)

    def _evict(self) -> None:
        while len(self._trees) > 1 and (
            len(self._trees) > MAX_TREES
            or sum(tree.bytes for tree in self._trees) > self._cache_bytes
        ):
            self._trees.pop(0)
        if self._trees and self._trees[0].bytes > self._cache_bytes:
            self._trees.pop(0)


def _map_to_cache(tree: KVCacheTree, forest: PrefixForest) -> NDArray[np.int64]:
    """The tree's node for each of the forest's; -1 where the tree has none."""
    place = np.full(len(forest), -1, dtype=np.int64)
    found: dict[int, int] = {-1: -1}
    for node, (token, parent) in enumerate(zip(forest.tokens, forest.parents, strict=True)):
        above = found.get(parent)
        if above is None:
            continue
        child = tree.child(above, token)
        if child is not None:
            found[node] = place[node] = child
    return place


def _renumber(place: NDArray[np.int64], renumbered: NDArray[np.int64]) -> NDArray[np.int64]:
    moved = place.copy()
    known = place >= 0
    moved[known] = renumbered[place[known]]
    return moved


def _ancestors_in(
    tree: KVCacheTree, forest: PrefixForest, place: NDArray[np.int64], work: Sequence[int]
) -> set[int]:
    """The tree's nodes that `work` attends to: ancestors, and known nodes evaluated again."""
    nodes = np.asarray(work, dtype=np.int64)
    parents = np.asarray(forest.parents, dtype=np.int64)[nodes]
    starts = np.concatenate([place[nodes], place[parents[parents >= 0]]])
    found: set[int] = set()
    for inside in np.unique(starts[starts >= 0]).tolist():
        while inside >= 0 and inside not in found:
            found.add(inside)
            inside = tree.parents[inside]
    return found
