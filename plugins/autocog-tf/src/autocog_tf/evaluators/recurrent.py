"""Trees on models whose state has no positions to mask (recurrent, hybrid): copy the state.

The trunk, which all sequences share, is evaluated once. Then each level of the tree is a batch of
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

#: Largest number of cached states; an option limits their bytes.
MAX_CACHED_STATES = 8
#: Largest number of branches in one forward.
MAX_BRANCHES = 64
#: Largest number of trunk tokens in one forward.
MAX_CHUNK_TOKENS = 512

#: Siblings of one level, as (row of the parent in its batch, node).
_Level = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """The state of a model after a sequence, and the logits (1, V) there."""

    cache: Any
    logits: torch.Tensor

    @property
    def bytes(self) -> int:
        """Memory of state and logits."""
        return self.logits.nbytes + sum(_tensor_bytes(vars(layer)) for layer in self.cache.layers)


class RecurrentEvaluator:
    """Evaluates forests level by level, on copies of states.

    :param forward: the model.
    :param cache_bytes: largest size of all cached states.
    :param chunked: whether a forward may append several tokens to a state. Some models are wrong
        then (Mamba-1), and get one token at a time.
    """

    def __init__(self, forward: Forward, cache_bytes: int, *, chunked: bool) -> None:
        self.name = "one forward per level"
        if not chunked:
            self.name += ", prompts token by token"
        self._forward = forward
        self._cache_bytes = cache_bytes
        self._chunked = chunked
        self._branches = MAX_BRANCHES
        self._states: OrderedDict[tuple[int, ...], _State] = OrderedDict()

    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """Evaluate the trunk, then the branches, depth first so that few states are in memory."""
        children = forest.children()
        trunk: list[int] = []
        siblings = children[-1]
        while len(siblings) == 1:
            trunk.append(siblings[0])
            siblings = children[siblings[0]]
        state = self._evaluate_trunk(forest, trunk, sink) if trunk else None
        stack = self._split(state, [(0, node) for node in siblings])
        while stack:
            parents, level = stack.pop()
            nodes = [node for _, node in level]
            state = self._copy_rows(parents, [row for row, _ in level])
            logits = self._append(state, [forest.tokens[node] for node in nodes])
            forest.count_evaluated(nodes)
            rows = [row for row, node in enumerate(nodes) if forest.needs_row[node]]
            if rows:
                sink([nodes[row] for row in rows], logits[rows])
            next_level = [
                (row, child) for row, node in enumerate(nodes) for child in children[node]
            ]
            stack += self._split(state, next_level)

    @property
    def cached_bytes(self) -> int:
        """The size of all cached states."""
        return sum(state.bytes for state in self._states.values())

    def clear(self) -> None:
        """Drop all cached states."""
        self._states.clear()

    def halve_batch(self) -> bool:
        """Halve the number of branches in one forward; return False if there is only one."""
        if self._branches == 1:
            return False
        self._branches //= 2
        return True

    def reset_batch(self) -> None:
        """Restore the number of branches in one forward."""
        self._branches = MAX_BRANCHES

    def _split(self, parents: Any, level: _Level) -> list[tuple[Any, _Level]]:
        """Return parts of a level that fit into a forward, each with the parents' state."""
        size = self._branches
        return [(parents, level[start : start + size]) for start in range(0, len(level), size)]

    def _evaluate_trunk(self, forest: PrefixForest, trunk: Sequence[int], sink: Sink) -> Any:
        """Return the state after the trunk; pass the rows inside it to `sink`."""
        tokens = tuple(forest.tokens[node] for node in trunk)
        outputs = [index for index, node in enumerate(trunk) if forest.needs_row[node]]
        # A cached state has the logits of its last token only: it must not go beyond an output.
        limit = outputs[0] + 1 if outputs else len(tokens)
        cached = max(
            (key for key in self._states if len(key) <= limit and tokens[: len(key)] == key),
            key=len,
            default=(),
        )
        state = self._states.get(cached)
        if state is not None:
            self._states.move_to_end(cached)
            if len(cached) - 1 in outputs:
                sink([trunk[len(cached) - 1]], state.logits)
        if state is None or len(cached) < len(tokens):
            outputs = [index for index in outputs if index >= len(cached)]
            state = self._extend(state, tokens, len(cached), trunk, outputs, sink)
            forest.count_evaluated(trunk[len(cached) :])
            self._states[tokens] = state
            self._evict()
        return state.cache

    def _evict(self) -> None:
        while self._states and (
            len(self._states) > MAX_CACHED_STATES or self.cached_bytes > self._cache_bytes
        ):
            self._states.popitem(last=False)

    def _extend(
        self,
        state: _State | None,
        tokens: Sequence[int],
        start: int,
        trunk: Sequence[int],
        outputs: Sequence[int],
        sink: Sink,
    ) -> _State:
        """Return the state after `tokens`, from a copy of the state after the first `start`.

        Pass the rows after the trunk's nodes at the indices `outputs` to `sink`.
        """
        cache = self._empty_state() if state is None else copy.deepcopy(state.cache)
        device = self._forward.device
        logits = None
        while start < len(tokens):
            # Several tokens on an empty state are right for every model.
            is_chunk = self._chunked or start == 0
            chunk = tokens[start : start + (MAX_CHUNK_TOKENS if is_chunk else 1)]
            end = start + len(chunk)
            columns = [index - start for index in outputs if start <= index < end]
            last = len(chunk) - 1
            keep = columns if columns[-1:] == [last] else [*columns, last]
            rows = self._forward(
                torch.tensor([chunk], device=device), torch.tensor(keep, device=device), cache=cache
            )[0]
            if columns:
                sink([trunk[start + column] for column in columns], rows[: len(columns)])
            logits = rows[-1:]
            start = end
        assert logits is not None
        return _State(cache=cache, logits=logits.clone())

    def _copy_rows(self, parents: Any, rows: Sequence[int]) -> Any:
        """Return a state with a copy of each of `rows` of the parents' state."""
        if parents is None:
            return self._empty_state()
        state = copy.deepcopy(parents)
        state.reorder_cache(torch.tensor(rows, device=self._forward.device))
        return state

    def _append(self, state: Any, tokens: Sequence[int]) -> torch.Tensor:
        """Append one token to each of b states; return the logits (b, V)."""
        device = self._forward.device
        column = torch.tensor(tokens, device=device).unsqueeze(1)
        return self._forward(column, torch.tensor([0], device=device), cache=state)[:, 0]

    def _empty_state(self) -> Any:
        return DynamicCache(config=self._forward.model.config)


def _tensor_bytes(item: Any) -> int:
    """Return the memory of all tensors in `item`, also inside dicts and sequences."""
    if isinstance(item, torch.Tensor):
        return item.nbytes
    if isinstance(item, dict):
        return sum(map(_tensor_bytes, item.values()))
    if isinstance(item, list | tuple):
        return sum(map(_tensor_bytes, item))
    return 0
