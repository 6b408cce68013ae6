"""One forward for whole trees of tokens, each of which attends to its own ancestors only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from autocog_core.toolkit import PrefixForest
from autocog_tf.evaluators.batch import one_row, side_by_side
from autocog_tf.evaluators.batch_plan import ALWAYS_APART, SLACK, Costs, Layout, Limits, Step
from autocog_tf.evaluators.evaluator import Forward, Sink
from autocog_tf.evaluators.kv_cache_tree import KVTree
from autocog_tf.evaluators.masks import TokenMaskCache

#: Most trees kept; the bytes they may hold are an option.
MOST_TREES = 16
#: Logits of one forward, wanted rows x vocabulary, by kind of device.
MOST_LOGITS = {"cpu": 64 << 20, "mps": 64 << 20, "cuda": 256 << 20}
#: How many times as many tokens go into a forward of several rows: their attention costs less.
ROWS_LONGER = {"cpu": 1, "mps": 2, "cuda": 4}
SMALLEST_CHUNK = 16


class TreeEvaluator:
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
        costs: Costs | None = ALWAYS_APART,
    ) -> None:
        self._forward = forward
        self._cache_bytes = cache_bytes
        self._chunk = self._whole_chunk = chunk
        self.name = "one forward a tree"
        if costs is None:
            self.name += ", never several rows"
        self._masks = TokenMaskCache(forward, windows)
        #: Whether all layers attend to all that came before.
        self.one_kind = self._masks.one_kind
        self.costs = costs
        #: Most recently used last.
        self._trees: list[KVTree] = []

    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """Evaluate what no kept tree holds, in as few forwards as the limits allow."""
        tree, place = self._tree_for(forest)
        steps = Layout(forest, place, len(tree), self._limits).steps(self.costs)
        try:
            for number, step in enumerate(steps):
                place = self._make_room(tree, forest, place, steps[number:])
                self._run(tree, forest, place, step, sink)
        except BaseException:
            # Whatever stopped it may have left a forward half done.
            self._trees = [kept for kept in self._trees if kept is not tree]
            raise
        self._evict()

    def matched(self, tokens: Sequence[int]) -> tuple[KVTree | None, list[int]]:
        """The kept tree that holds most of a sequence's beginning, and the nodes of that part."""
        best: tuple[KVTree | None, list[int]] = (None, [])
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
        if self._chunk // 2 < SMALLEST_CHUNK:
            return False
        self._chunk //= 2
        return True

    def restore(self) -> None:
        """Take as many tokens in one forward as at first."""
        self._chunk = self._whole_chunk

    def _tree_for(self, forest: PrefixForest) -> tuple[KVTree, NDArray[np.int64]]:
        """The tree to go on with, and the tree's node for each of the forest's (-1: none)."""
        best: KVTree | None = None
        place = np.full(len(forest), -1, dtype=np.int64)
        known = 0
        for tree in self._trees:
            found = _walk(tree, forest)
            count = int((found >= 0).sum())
            if count >= known and count > 0:
                best, place, known = tree, found, count
        if best is None:
            best = KVTree()
        elif len(best) > 2 * known + SLACK:
            # Mostly of no use here, and worth keeping for others as it is.
            best, renumbered = best.copy_of(np.sort(place[place >= 0]))
            place = _translate(place, renumbered)
        self._trees = [tree for tree in self._trees if tree is not best]
        self._trees.append(best)
        return best, place

    @property
    def _limits(self) -> Limits:
        vocabulary = self._forward.model.config.get_text_config().vocab_size
        device = self._forward.device.type
        logits = MOST_LOGITS.get(device, MOST_LOGITS["cuda"])
        padded = self._chunk * ROWS_LONGER.get(device, ROWS_LONGER["cuda"])
        return Limits(self._chunk, padded, max(1, logits // vocabulary))

    def _make_room(
        self, tree: KVTree, forest: PrefixForest, place: NDArray[np.int64], steps: Sequence[Step]
    ) -> NDArray[np.int64]:
        """Drop nodes that the rest of the work does not need, if they are in the way."""
        if len(steps[0]) == 1:
            used = _ancestors_in(tree, forest, place, steps[0][0])
            crowded = len(tree) > 2 * len(used) + SLACK
        else:
            # Rows read what they need and nothing else: only memory counts.
            crowded = tree.bytes > self._cache_bytes
        if not crowded:
            return place
        work = [node for step in steps for row in step for node in row]
        needed = _ancestors_in(tree, forest, place, work)
        return _translate(place, tree.keep(np.array(sorted(needed), dtype=np.int64)))

    def _run(
        self, tree: KVTree, forest: PrefixForest, place: NDArray[np.int64], step: Step, sink: Sink
    ) -> None:
        """One forward, whose new nodes are then the tree's."""
        if len(step) == 1:
            batch = one_row(tree, forest, place, step[0])
        else:
            batch = side_by_side(tree, forest, place, step)
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
            len(self._trees) > MOST_TREES
            or sum(tree.bytes for tree in self._trees) > self._cache_bytes
        ):
            self._trees.pop(0)
        if self._trees and self._trees[0].bytes > self._cache_bytes:
            self._trees.pop(0)


def _walk(tree: KVTree, forest: PrefixForest) -> NDArray[np.int64]:
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


def _translate(place: NDArray[np.int64], renumbered: NDArray[np.int64]) -> NDArray[np.int64]:
    moved = place.copy()
    known = place >= 0
    moved[known] = renumbered[place[known]]
    return moved


def _ancestors_in(
    tree: KVTree, forest: PrefixForest, place: NDArray[np.int64], work: Sequence[int]
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
