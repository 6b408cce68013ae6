"""Keys and values of a *tree* of tokens: what the model has seen, kept for the next call.

A sequence cache is the special case of a chain. Nodes are numbered in the order in which they were
evaluated; a node's keys and values depend on its ancestors alone, so that any of them can be
continued, reused or dropped without touching the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.cache_utils import Cache, CacheLayerMixin

#: Buffers grow by at least this many tokens, and by half their size.
GROWTH_NODES = 256


@dataclass(frozen=True, slots=True, eq=False)
class RowGather:
    """How a forward of several rows reads and writes the nodes that are kept.

    :ivar past: int64 (rows, past), the nodes that each row continues; (1, past) if all the same.
    :ivar written: int64 (k,), what becomes a node, of the rows' tokens one row after the other.
    """

    past: torch.Tensor
    written: torch.Tensor

    def on(self, device: torch.device) -> RowGather:
        """The same, where most layers are: moved once, not for each of them."""
        return RowGather(self.past.to(device), self.written.to(device))

    def keys_for(self, kept: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """What the rows attend to: their part of `kept` (1, heads, nodes, width), and their own."""
        past = self.past.shape[1]
        rows, heads, new, width = states.shape
        whole = states.new_empty((rows, heads, past + new, width))
        if past:
            # (heads, rows or 1, past, width)
            whole[:, :, :past] = kept[0][:, self.past.to(kept.device)].transpose(0, 1)
        whole[:, :, past:] = states
        return whole

    def new_nodes(self, states: torch.Tensor) -> torch.Tensor:
        """(1, heads, k, width): what becomes nodes, of `states` (rows, heads, n, width)."""
        flat = states.transpose(0, 1).flatten(1, 2)
        return flat.index_select(1, self.written.to(states.device)).unsqueeze(0)


class CacheAccess:
    """How the next forward reads and writes a tree, the same in all its layers.

    :ivar rows: None for one row, which reads all that is kept.
    """

    rows: RowGather | None = None


class TreeLayer(CacheLayerMixin):
    """One layer's keys and values, written in place after the nodes that are there already."""

    is_sliding = False
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, access: CacheAccess) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = 0
        self._access = access

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take shapes, dtype and device from the first keys and values."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = _buffer_like(key_states, 0)
        self.values = _buffer_like(value_states, 0)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write (rows, heads, n, width) after the committed nodes; return what they attend to."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows = self._access.rows
        if rows is None:
            end = self._write(key_states, value_states)
            return self.keys[:, :, :end], self.values[:, :, :end]
        keys, values = (
            rows.keys_for(self.keys, key_states),
            rows.keys_for(self.values, value_states),
        )
        self._write(rows.new_nodes(key_states), rows.new_nodes(value_states))
        return keys, values

    def compact(self, nodes: torch.Tensor) -> None:
        """Keep only these nodes, in this order."""
        if self.is_initialized:
            nodes = nodes.to(self.keys.device)
            self.keys = self.keys.index_select(2, nodes)
            self.values = self.values.index_select(2, nodes)
        self.length = len(nodes)

    def copy_of(self, nodes: torch.Tensor, access: CacheAccess) -> TreeLayer:
        """A new layer that holds copies of these nodes."""
        other = TreeLayer(access)
        if self.is_initialized:
            other.lazy_initialization(self.keys, self.values)
            other.keys, other.values = self.keys, self.values
        other.compact(nodes)
        return other

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset for a mask that Transformers makes itself."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """How many nodes are there."""
        return self.length

    def get_max_length(self) -> int:
        """No limit."""
        return -1

    @property
    def bytes(self) -> int:
        """Memory held."""
        if not self.is_initialized:
            return 0
        return int(self.keys.nbytes + self.values.nbytes)

    def _write(self, keys: torch.Tensor, values: torch.Tensor) -> int:
        """Write (1, heads, n, width) after the committed nodes; where that ends."""
        end = self.length + keys.shape[-2]
        self._reserve(end)
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        return end

    def _reserve(self, size: int) -> None:
        capacity = self.keys.shape[2]
        if size <= capacity:
            return
        capacity = max(size, capacity + max(GROWTH_NODES, capacity // 2))
        for name in ("keys", "values"):
            old: torch.Tensor = getattr(self, name)
            new = _buffer_like(old, capacity)
            new[:, :, : self.length] = old[:, :, : self.length]
            setattr(self, name, new)


def _buffer_like(states: torch.Tensor, capacity: int) -> torch.Tensor:
    _, heads, _, width = states.shape
    return states.new_empty((1, heads, capacity, width))


class KVCacheTree:
    """A tree of evaluated tokens with their keys and values in every layer.

    :ivar parents: the parent of each node, -1 for a first token.
    :ivar depths: how many tokens stand before each node.
    """

    def __init__(self) -> None:
        self.access = CacheAccess()
        # Transformers asks for a class, and calls it without arguments.
        make = cast("type[CacheLayerMixin]", partial(TreeLayer, self.access))
        self.cache = Cache(layer_class_to_replicate=make)
        #: The cache's own list, which grows with the first forward.
        self.layers = cast("list[TreeLayer]", self.cache.layers)
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self._children: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def bytes(self) -> int:
        """Memory held by keys and values."""
        return sum(layer.bytes for layer in self.layers)

    def child(self, node: int, token: int) -> int | None:
        """The node of `token` after `node` (-1: at the start), if it was evaluated."""
        return self._children.get((node, token))

    def ancestors(self, node: int) -> list[int]:
        """`node` and all before it, last first."""
        found = []
        while node >= 0:
            found.append(node)
            node = self.parents[node]
        return found

    def commit(self, tokens: list[int], parents: list[int]) -> None:
        """Take over the nodes that the last forward has written after the ones there were."""
        for token, parent in zip(tokens, parents, strict=True):
            self._add(token, parent)
        for layer in self.layers:
            layer.length = len(self.tokens)

    def compact(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Keep only `nodes` (sorted, closed under parents); each old node's new number, or -1."""
        renumbered = self._renumber(nodes)
        index = torch.from_numpy(nodes)
        for layer in self.layers:
            layer.compact(index)
        return renumbered

    def copy_of(self, nodes: NDArray[np.int64]) -> tuple[KVCacheTree, NDArray[np.int64]]:
        """A new tree with copies of `nodes` (sorted, closed under parents), and their numbers."""
        other = KVCacheTree()
        index = torch.from_numpy(nodes)
        other.layers.extend(layer.copy_of(index, other.access) for layer in self.layers)
        other.tokens, other.parents, other.depths = self.tokens, self.parents, self.depths
        return other, other._renumber(nodes)

    def _renumber(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        renumbered = np.full(len(self.tokens), -1, dtype=np.int64)
        renumbered[nodes] = np.arange(len(nodes))
        tokens, parents = self.tokens, self.parents
        self.tokens, self.parents, self.depths, self._children = [], [], [], {}
        for node in nodes.tolist():
            parent = parents[node]
            self._add(tokens[node], int(renumbered[parent]) if parent >= 0 else -1)
        return renumbered

    def _add(self, token: int, parent: int) -> None:
        self._children[parent, token] = len(self.tokens)
        self.tokens.append(token)
        self.parents.append(parent)
        self.depths.append(self.depths[parent] + 1 if parent >= 0 else 0)
