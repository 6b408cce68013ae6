"""One forward for whole trees of tokens, in which each token attends only to its ancestors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from autocog_core.toolkit import PrefixForest
from autocog_tf.evaluators.batch import batch_rows, batch_single_row
from autocog_tf.evaluators.batch_plan import (
    ALWAYS_BATCH_ROWS,
    MAX_UNUSED_NODES,
    BatchPlanner,
    CostModel,
    Limits,
    Step,
)
from autocog_tf.evaluators.evaluator import Forward, Sink
from autocog_tf.evaluators.kv_cache_tree import KVCacheTree
from autocog_tf.evaluators.masks import AttentionMasks

#: Largest number of cached trees; an option limits their bytes.
MAX_TREES = 16
#: Largest number of logits of one forward, rows x vocabulary, by type of device.
MAX_LOGITS = {"cpu": 64 << 20, "mps": 64 << 20, "cuda": 256 << 20}
#: A forward of several rows may have this many times as many tokens: their attention costs less.
ROW_CHUNK_FACTOR = {"cpu": 1, "mps": 2, "cuda": 4}
MIN_CHUNK_TOKENS = 16


class AttentionEvaluator:
    """Evaluates forests on trees of keys and values that are cached from call to call.

    :param forward: the model.
    :param cache_bytes: largest size of all cached trees.
    :param chunk_tokens: largest number of tokens in one row of a forward.
    :param windows: attention window by layer type; the only key is "" if all layers are alike.
    :param cost_model: see `cost_model`.
    :ivar cost_model: decides whether the queries of a call get one row each, or share a row; None:
        they always share one.
    :ivar has_full_attention: whether every layer attends to all earlier tokens.
    """

    def __init__(
        self,
        forward: Forward,
        cache_bytes: int,
        chunk_tokens: int,
        windows: dict[str, int | None],
        cost_model: CostModel | None = ALWAYS_BATCH_ROWS,
    ) -> None:
        self._forward = forward
        self._cache_bytes = cache_bytes
        self._chunk_tokens = self._max_chunk_tokens = chunk_tokens
        self.name = "one forward per tree"
        if cost_model is None:
            self.name += ", never several rows"
        self._masks = AttentionMasks(forward, windows)
        self.has_full_attention = self._masks.has_full_attention
        self.cost_model = cost_model
        #: Most recently used last.
        self._trees: list[KVCacheTree] = []

    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """Evaluate the nodes that no cached tree has, in as few forwards as the limits allow."""
        tree, cache_slots = self._tree_for(forest)
        planner = BatchPlanner(forest, cache_slots, len(tree), self._limits)
        steps = planner.plan(self.cost_model)
        try:
            for index, step in enumerate(steps):
                cache_slots = self._make_room(tree, forest, cache_slots, steps[index:])
                self._run(tree, forest, cache_slots, step, sink)
        except BaseException:
            # An interrupted forward may have written to some layers only.
            self._trees = [cached for cached in self._trees if cached is not tree]
            raise
        self._evict()

    def longest_cached_prefix(self, tokens: Sequence[int]) -> tuple[KVCacheTree | None, list[int]]:
        """Return the tree with the longest prefix of `tokens`, and the nodes of that prefix."""
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

    @property
    def cached_bytes(self) -> int:
        """The size of all cached trees."""
        return sum(tree.bytes for tree in self._trees)

    def clear(self) -> None:
        """Drop all cached trees."""
        self._trees = []

    def halve_batch(self) -> bool:
        """Halve the number of tokens in one forward; return False if they cannot be fewer."""
        if self._chunk_tokens // 2 < MIN_CHUNK_TOKENS:
            return False
        self._chunk_tokens //= 2
        return True

    def reset_batch(self) -> None:
        """Restore the number of tokens in one forward."""
        self._chunk_tokens = self._max_chunk_tokens

    def _tree_for(self, forest: PrefixForest) -> tuple[KVCacheTree, NDArray[np.int64]]:
        """Return the tree to extend, and its node for each forest node (-1: none)."""
        best: KVCacheTree | None = None
        cache_slots = np.full(len(forest), -1, dtype=np.int64)
        best_count = 0
        for tree in self._trees:
            slots = _map_to_cache(tree, forest)
            count = int((slots >= 0).sum())
            if count >= best_count and count > 0:
                best, cache_slots, best_count = tree, slots, count
        if best is None:
            best = KVCacheTree()
        elif len(best) > 2 * best_count + MAX_UNUSED_NODES:
            # This call needs few of the nodes: copy them, and keep the tree for other calls.
            best, new_numbers = best.copy_of(np.sort(cache_slots[cache_slots >= 0]))
            cache_slots = _renumber(cache_slots, new_numbers)
        self._trees = [tree for tree in self._trees if tree is not best]
        self._trees.append(best)
        return best, cache_slots

    @property
    def _limits(self) -> Limits:
        vocabulary_size = self._forward.model.config.get_text_config().vocab_size
        device = self._forward.device.type
        max_logits = MAX_LOGITS.get(device, MAX_LOGITS["cuda"])
        factor = ROW_CHUNK_FACTOR.get(device, ROW_CHUNK_FACTOR["cuda"])
        return Limits(
            row_tokens=self._chunk_tokens,
            batch_tokens=self._chunk_tokens * factor,
            outputs=max(1, max_logits // vocabulary_size),
        )

    def _make_room(
        self,
        tree: KVCacheTree,
        forest: PrefixForest,
        cache_slots: NDArray[np.int64],
        steps: Sequence[Step],
    ) -> NDArray[np.int64]:
        """Drop the nodes that no remaining step needs, if they cost too much; return the slots."""
        if len(steps[0]) == 1:
            used = _cached_ancestors(tree, forest, cache_slots, steps[0][0])
            is_crowded = len(tree) > 2 * len(used) + MAX_UNUSED_NODES
        else:
            # Several rows read only what they need: other nodes cost memory alone.
            is_crowded = tree.bytes > self._cache_bytes
        if not is_crowded:
            return cache_slots
        remaining = [node for step in steps for row in step for node in row]
        needed = _cached_ancestors(tree, forest, cache_slots, remaining)
        return _renumber(cache_slots, tree.compact(np.array(sorted(needed), dtype=np.int64)))

    def _run(
        self,
        tree: KVCacheTree,
        forest: PrefixForest,
        cache_slots: NDArray[np.int64],
        step: Step,
        sink: Sink,
    ) -> None:
        """Run one forward, and add its new nodes to the tree."""
        if len(step) == 1:
            batch = batch_single_row(tree, forest, cache_slots, step[0])
        else:
            batch = batch_rows(tree, forest, cache_slots, step)
        device = self._forward.device
        tree.access.rows = None if batch.rows is None else batch.rows.to(device)
        logits = self._forward(
            torch.from_numpy(batch.tokens).to(device),
            torch.from_numpy(batch.logits_to_keep).to(device),
            cache=tree.cache,
            mask=self._masks.for_batch(batch),
            positions=torch.from_numpy(batch.depths[:, -batch.tokens.shape[1] :]).to(device),
        )
        tree.commit([forest.tokens[node] for node in batch.new_nodes], batch.parents)
        for row in step:
            forest.count_evaluated(row)
        if batch.output_nodes:
            # (rows, k, V) to (rows * k, V)
            flat = logits.flatten(0, 1)
            if len(batch.output_positions) < len(flat):
                flat = flat[torch.from_numpy(batch.output_positions).to(device)]
            sink(batch.output_nodes, flat)

    def _evict(self) -> None:
        while len(self._trees) > 1 and (
            len(self._trees) > MAX_TREES or self.cached_bytes > self._cache_bytes
        ):
            self._trees.pop(0)
        if self._trees and self._trees[0].bytes > self._cache_bytes:
            self._trees.pop(0)


def _map_to_cache(tree: KVCacheTree, forest: PrefixForest) -> NDArray[np.int64]:
    """Return the tree's node for each forest node, -1 if it has none: int64 (nodes,)."""
    cache_slots = np.full(len(forest), -1, dtype=np.int64)
    slot_of: dict[int, int] = {-1: -1}
    for node, (token, parent) in enumerate(zip(forest.tokens, forest.parents, strict=True)):
        parent_slot = slot_of.get(parent)
        if parent_slot is None:
            continue
        child = tree.child(parent_slot, token)
        if child is not None:
            slot_of[node] = cache_slots[node] = child
    return cache_slots


def _renumber(cache_slots: NDArray[np.int64], new_numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    slots = cache_slots.copy()
    is_cached = cache_slots >= 0
    slots[is_cached] = new_numbers[cache_slots[is_cached]]
    return slots


def _cached_ancestors(
    tree: KVCacheTree, forest: PrefixForest, cache_slots: NDArray[np.int64], nodes: Sequence[int]
) -> set[int]:
    """Return the tree's nodes to which forest nodes attend, and those to evaluate again."""
    index = np.asarray(nodes, dtype=np.int64)
    parents = np.asarray(forest.parents, dtype=np.int64)[index]
    starts = np.concatenate([cache_slots[index], cache_slots[parents[parents >= 0]]])
    ancestors: set[int] = set()
    for slot in np.unique(starts[starts >= 0]).tolist():
        while slot >= 0 and slot not in ancestors:
            ancestors.add(slot)
            slot = tree.parents[slot]
    return ancestors
