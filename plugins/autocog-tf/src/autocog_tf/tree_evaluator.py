"""One forward for a whole tree of tokens, each of which attends to its own ancestors only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autocog_core.forest import Forest
from autocog_tf.evaluator import Forward, Sink
from autocog_tf.kv_tree import KVTree

#: Nodes that may be in the way (kept, of no use to a call) before a tree is copied or compacted.
SLACK = 512
#: Most trees kept; the bytes they may hold are an option.
MOST_TREES = 16
#: Logits of one forward, in floats: wanted rows x vocabulary.
MOST_LOGITS = 64 << 20
SMALLEST_CHUNK = 16


class TreeEvaluator:
    """Evaluates forests over trees of keys and values kept from earlier calls.

    :param cache_bytes: how much the kept trees may hold together.
    :param chunk: most tokens in one forward.
    :param windows: attention window by layer type; a model with one kind of layers has "".
    """

    name = "one forward a tree"

    def __init__(
        self, forward: Forward, cache_bytes: int, chunk: int, windows: dict[str, int | None]
    ) -> None:
        self._forward = forward
        self._cache_bytes = cache_bytes
        self._chunk = self._whole_chunk = chunk
        self._windows = windows
        self._additive = forward.model.config._attn_implementation == "eager"
        #: Most recently used last.
        self._trees: list[KVTree] = []

    @property
    def one_kind(self) -> bool:
        """Whether all layers attend to all that came before."""
        return self._windows == {"": None}

    def evaluate(self, forest: Forest, sink: Sink) -> None:
        """Evaluate what no kept tree holds, in as few forwards as the chunk size allows."""
        tree, place = self._tree_for(forest)
        new = [node for node in range(len(forest)) if place[node] < 0]
        if len(new) > self._chunk:
            new = [node for node in forest.depth_first() if place[node] < 0]
        # Known tokens whose logits are wanted again: logits are not kept. After the new ones, so
        # that they can be left out of the tree, which holds them already.
        again = [node for node, wanted in enumerate(forest.wanted) if wanted and place[node] >= 0]
        work = new + again
        start = 0
        try:
            while start < len(work):
                chunk = self._next_chunk(forest, work[start:])
                place = self._make_room(tree, forest, place, work[start:], len(chunk))
                self._run(tree, forest, place, chunk, sink)
                start += len(chunk)
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

    def _tree_for(self, forest: Forest) -> tuple[KVTree, NDArray[np.int64]]:
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

    def _next_chunk(self, forest: Forest, work: Sequence[int]) -> list[int]:
        chunk = list(work[: self._chunk])
        most = max(1, MOST_LOGITS // self._forward.model.config.get_text_config().vocab_size)
        rows = 0
        for end, node in enumerate(chunk):
            rows += forest.wanted[node]
            if rows > most:
                return chunk[:end]
        return chunk

    def _make_room(
        self,
        tree: KVTree,
        forest: Forest,
        place: NDArray[np.int64],
        work: Sequence[int],
        size: int,
    ) -> NDArray[np.int64]:
        """Drop nodes that the rest of the work does not need, if they are in the way."""
        used = _ancestors_in(tree, forest, place, work[:size])
        if len(tree) <= 2 * len(used) + SLACK:
            return place
        needed = _ancestors_in(tree, forest, place, work)
        return _translate(place, tree.keep(np.array(sorted(needed), dtype=np.int64)))

    def _run(
        self,
        tree: KVTree,
        forest: Forest,
        place: NDArray[np.int64],
        chunk: Sequence[int],
        sink: Sink,
    ) -> None:
        """One forward over `chunk`, whose new nodes are then the tree's."""
        known = len(tree)
        new = [node for node in chunk if place[node] < 0]
        parents = []
        for position, node in enumerate(chunk):
            parent = forest.parents[node]
            parents.append(int(place[parent]) if parent >= 0 else -1)
            if position < len(new):
                place[node] = known + position
        depths = np.array(tree.depths + [0] * len(chunk), dtype=np.int64)
        for position, parent in enumerate(parents):
            depths[known + position] = depths[parent] + 1 if parent >= 0 else 0
        visible = _visible(tree, parents)
        device = self._forward.device
        rows = [position for position, node in enumerate(chunk) if forest.wanted[node]]
        keep = torch.tensor(rows or [len(chunk) - 1], device=device)
        logits = self._forward(
            torch.tensor([[forest.tokens[node] for node in chunk]], device=device),
            keep,
            cache=tree.cache,
            mask=self._mask(visible, depths, known),
            positions=torch.from_numpy(depths[known:]).unsqueeze(0).to(device),
        )
        tree.commit([forest.tokens[node] for node in new], parents[: len(new)])
        forest.count(chunk)
        if rows:
            sink([chunk[position] for position in rows], logits[0])

    def _mask(self, visible: NDArray[np.bool_], depths: NDArray[np.int64], known: int) -> Any:
        """The attention mask (1, 1, n, known + n), one for each layer type where there are several.

        None where every new token sees all that is there: engines are fastest then.
        """
        if self.one_kind:
            if visible.shape[0] == 1 and visible.all():
                return None
            if known == 0 and bool((depths == np.arange(len(depths))).all()):
                return None
        masks = {}
        for kind, window in self._windows.items():
            seen = visible
            if window is not None:
                seen = visible & (depths[known:, None] - depths[None, :] < window)
            masks[kind] = self._as_tensor(seen)
        return masks.get("", masks)

    def _as_tensor(self, seen: NDArray[np.bool_]) -> torch.Tensor:
        mask = torch.from_numpy(seen)[None, None].to(self._forward.device)
        if not self._additive:
            return mask
        # Eager attention adds the mask to its scores: a boolean one would be added as 0 and 1.
        dtype = self._forward.model.dtype
        nothing = torch.zeros((), dtype=dtype, device=mask.device)
        return torch.where(mask, nothing, torch.finfo(dtype).min)

    def _evict(self) -> None:
        while len(self._trees) > 1 and (
            len(self._trees) > MOST_TREES
            or sum(tree.bytes for tree in self._trees) > self._cache_bytes
        ):
            self._trees.pop(0)
        if self._trees and self._trees[0].bytes > self._cache_bytes:
            self._trees.pop(0)


def _walk(tree: KVTree, forest: Forest) -> NDArray[np.int64]:
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
    tree: KVTree, forest: Forest, place: NDArray[np.int64], work: Sequence[int]
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


def _visible(tree: KVTree, parents: Sequence[int]) -> NDArray[np.bool_]:
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
