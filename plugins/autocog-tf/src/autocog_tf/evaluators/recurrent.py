"""For models whose state cannot be branched by a mask (recurrent, hybrid): copy it and batch.

The trunk that all sequences share is evaluated once; then every level of the tree is a batch of
single tokens, each on a copy of its parent's state.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from autocog_core.toolkit import PrefixForest
from autocog_tf.evaluators.evaluator import Forward, Sink

#: Most states kept between calls, within the bytes that are an option; most branches in one
#: forward; most tokens of a prompt in one forward.
MAX_CACHED_STATES = 8
MAX_BRANCHES = 64
MAX_TOKENS = 512


@dataclass
class _State:
    """A model's state after some tokens, for a batch of one, and the logits (1, V) there."""

    cache: Any
    logits: torch.Tensor

    @property
    def bytes(self) -> int:
        """Memory held."""
        return self.logits.nbytes + sum(_bytes(vars(layer)) for layer in self.cache.layers)


class RecurrentEvaluator:
    """Evaluates forests level by level, on copies of states.

    :param cache_bytes: how much the kept states may hold together.
    :param chunked: whether the model may be given several tokens on a state that it has already;
        some answer wrongly then (Mamba-1), and get one token at a time.
    """

    def __init__(self, forward: Forward, cache_bytes: int, *, chunked: bool) -> None:
        self.name = "one forward a level"
        if not chunked:
            self.name += ", prompts token by token"
        self._forward = forward
        self._cache_bytes = cache_bytes
        self._chunked = chunked
        self._branches = MAX_BRANCHES
        self._states: OrderedDict[tuple[int, ...], _State] = OrderedDict()

    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """Evaluate the trunk, then the branches, deepest first so that few states are held."""
        children = forest.children()
        trunk: list[int] = []
        below = children[-1]
        while len(below) == 1:
            trunk.append(below[0])
            below = children[below[0]]
        cache = self._trunk(forest, trunk, sink) if trunk else None
        # A batch of sibling nodes, with the row of each one's parent in the parents' state.
        stack = self._batches(cache, [(0, node) for node in below])
        while stack:
            parents, batch = stack.pop()
            nodes = [node for _, node in batch]
            state = self._branch(parents, [row for row, _ in batch])
            logits = self._step(state, [forest.tokens[node] for node in nodes])
            forest.count_evaluated(nodes)
            rows = [row for row, node in enumerate(nodes) if forest.needs_row[node]]
            if rows:
                sink([nodes[row] for row in rows], logits[rows])
            grown = [(row, child) for row, node in enumerate(nodes) for child in children[node]]
            stack += self._batches(state, grown)

    def forget(self) -> None:
        """Drop all kept states."""
        self._states.clear()

    def shrink(self) -> bool:
        """Halve the branches in one forward."""
        if self._branches == 1:
            return False
        self._branches //= 2
        return True

    def restore(self) -> None:
        """Take as many branches in one forward as at first."""
        self._branches = MAX_BRANCHES

    def _batches(
        self, parents: Any, grown: Sequence[tuple[int, int]]
    ) -> list[tuple[Any, Sequence[tuple[int, int]]]]:
        size = self._branches
        return [(parents, grown[start : start + size]) for start in range(0, len(grown), size)]

    def _trunk(self, forest: PrefixForest, trunk: Sequence[int], sink: Sink) -> Any:
        """The state after the trunk; its wanted distributions go to `sink`."""
        tokens = tuple(forest.tokens[node] for node in trunk)
        wanted = [place for place, node in enumerate(trunk) if forest.needs_row[node]]
        # A kept state is of use if the only logits wanted inside it are those at its end.
        limit = wanted[0] + 1 if wanted else len(tokens)
        known = max(
            (key for key in self._states if len(key) <= limit and tokens[: len(key)] == key),
            key=len,
            default=(),
        )
        state = self._states.get(known)
        if state is not None:
            self._states.move_to_end(known)
            if len(known) - 1 in wanted:
                sink([trunk[len(known) - 1]], state.logits)
        if state is None or len(known) < len(tokens):
            kept = [place for place in wanted if place >= len(known)]
            state = self._extend(state, tokens[len(known) :], len(known), trunk, kept, sink)
            forest.count_evaluated(trunk[len(known) :])
            self._states[tokens] = state
            self._evict()
        return state.cache

    def _evict(self) -> None:
        while self._states and (
            len(self._states) > MAX_CACHED_STATES
            or sum(state.bytes for state in self._states.values()) > self._cache_bytes
        ):
            self._states.popitem(last=False)

    def _extend(
        self,
        state: _State | None,
        tokens: Sequence[int],
        offset: int,
        trunk: Sequence[int],
        wanted: Sequence[int],
        sink: Sink,
    ) -> _State:
        """The state after `tokens` more, on a copy; wanted places count from the trunk's start."""
        cache = self._fresh() if state is None else copy.deepcopy(state.cache)
        logits = None
        start = 0
        while start < len(tokens):
            # Several tokens on a fresh state are right for every model.
            several = self._chunked or (state is None and start == 0)
            part = tokens[start : start + (MAX_TOKENS if several else 1)]
            here = [p - offset - start for p in wanted if start <= p - offset < start + len(part)]
            last = len(part) - 1
            keep = here if here[-1:] == [last] else [*here, last]
            device = self._forward.device
            found = self._forward(
                torch.tensor([part], device=device), torch.tensor(keep, device=device), cache=cache
            )[0]
            if here:
                sink([trunk[offset + start + place] for place in here], found[: len(here)])
            logits = found[-1:]
            start += len(part)
        assert logits is not None
        return _State(cache, logits.clone())

    def _branch(self, parents: Any, rows: Sequence[int]) -> Any:
        """Copies of the parents' states, one for each of `rows`."""
        if parents is None:
            return self._fresh()
        state = copy.deepcopy(parents)
        state.reorder_cache(torch.tensor(rows, device=self._forward.device))
        return state

    def _step(self, state: Any, tokens: Sequence[int]) -> torch.Tensor:
        """Logits (b, V) after one more token for each of b states."""
        device = self._forward.device
        column = torch.tensor(tokens, device=device).unsqueeze(1)
        return self._forward(column, torch.tensor([0], device=device), cache=state)[:, 0]

    def _fresh(self) -> Any:
        return DynamicCache(config=self._forward.model.config)


def _bytes(held: Any) -> int:
    """Memory of all tensors in what a cache's layer holds."""
    if isinstance(held, torch.Tensor):
        return held.nbytes
    if isinstance(held, dict):
        return sum(_bytes(each) for each in held.values())
    if isinstance(held, list | tuple):
        return sum(_bytes(each) for each in held)
    return 0
