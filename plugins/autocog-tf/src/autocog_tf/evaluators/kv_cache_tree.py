"""A key-value cache for a *tree* of tokens, which is continued from call to call.

The cache of a sequence is the special case of a chain. Nodes are numbered in the order of their
evaluation. The keys and values of a node depend only on its ancestors, so each node can be
continued, reused or dropped without a change to others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.cache_utils import Cache, CacheLayerMixin

#: Buffers grow by at least this many nodes, and by half their size.
MIN_GROWTH_NODES = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowGather:
    """How a forward of several rows reads and extends the cache.

    :ivar past: int64 (rows, past), the nodes that each row continues; (1, past) if all are equal.
    :ivar written: int64 (k,), the tokens that become nodes, as indices into the flattened rows.
    """

    past: torch.Tensor
    written: torch.Tensor

    def to(self, device: torch.device) -> RowGather:
        """Return a copy on the device of most layers, so that each layer does not move it again."""
        return RowGather(past=self.past.to(device), written=self.written.to(device))

    def keys_for(self, cached: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Return what the rows attend to, (rows, heads, past + n, width).

        :param cached: the keys (or values) of all nodes, (1, heads, nodes, width).
        :param states: those of the new tokens, (rows, heads, n, width).
        """
        past = self.past.shape[1]
        rows, heads, columns, width = states.shape
        keys = states.new_empty((rows, heads, past + columns, width))
        if past:
            # (heads, rows or 1, past, width)
            keys[:, :, :past] = cached[0][:, self.past.to(cached.device)].transpose(0, 1)
        keys[:, :, past:] = states
        return keys

    def new_nodes(self, states: torch.Tensor) -> torch.Tensor:
        """Return the part of `states` (rows, heads, n, width) to store, (1, heads, k, width)."""
        flat = states.transpose(0, 1).flatten(1, 2)
        return flat.index_select(1, self.written.to(states.device)).unsqueeze(0)


class CacheAccess:
    """How the next forward reads and extends a tree, shared by all its layers.

    :ivar rows: None for a forward of one row, which reads all nodes.
    """

    rows: RowGather | None = None


class TreeLayer(CacheLayerMixin):
    """The keys and values of one layer, in buffers with one column per node.

    :ivar length: number of committed nodes; a forward writes after them.
    """

    is_sliding = False
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, access: CacheAccess) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = 0
        self._access = access

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Set shapes, dtype and device from the first keys and values."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = _buffer_like(key_states, 0)
        self.values = _buffer_like(value_states, 0)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write (rows, heads, n, width) after the committed nodes; return what the rows read."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows = self._access.rows
        if rows is None:
            end = self._write(key_states, value_states)
            return self.keys[:, :, :end], self.values[:, :, :end]
        keys = rows.keys_for(self.keys, key_states)
        values = rows.keys_for(self.values, value_states)
        self._write(rows.new_nodes(key_states), rows.new_nodes(value_states))
        return keys, values

    def compact(self, nodes: torch.Tensor) -> None:
        """Drop all nodes except `nodes`, int64 (k,), which get the numbers 0 to k - 1."""
        if self.is_initialized:
            nodes = nodes.to(self.keys.device)
            self.keys = self.keys.index_select(2, nodes)
            self.values = self.values.index_select(2, nodes)
        self.length = len(nodes)

    def copy_of(self, nodes: torch.Tensor, access: CacheAccess) -> TreeLayer:
        """Return a new layer with copies of `nodes`, int64 (k,)."""
        layer = TreeLayer(access)
        if self.is_initialized:
            layer.lazy_initialization(self.keys, self.values)
            layer.keys, layer.values = self.keys, self.values
        layer.compact(nodes)
        return layer

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return length and offset of a mask that Transformers makes."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Return the number of committed nodes."""
        return self.length

    def get_max_length(self) -> int:
        """Return -1: there is no limit."""
        return -1

    @property
    def bytes(self) -> int:
        """Memory of the buffers."""
        if not self.is_initialized:
            return 0
        return int(self.keys.nbytes + self.values.nbytes)

    def _write(self, keys: torch.Tensor, values: torch.Tensor) -> int:
        """Write (1, heads, n, width) after the committed nodes; return the end of what is used."""
        end = self.length + keys.shape[-2]
        self._reserve(end)
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        return end

    def _reserve(self, size: int) -> None:
        capacity = self.keys.shape[2]
        if size <= capacity:
            return
        capacity = max(size, capacity + max(MIN_GROWTH_NODES, capacity // 2))
        for name in ("keys", "values"):
            old: torch.Tensor = getattr(self, name)
            new = _buffer_like(old, capacity)
            new[:, :, : self.length] = old[:, :, : self.length]
            setattr(self, name, new)


def _buffer_like(states: torch.Tensor, capacity: int) -> torch.Tensor:
    _, heads, _, width = states.shape
    return states.new_empty((1, heads, capacity, width))


class KVCacheTree:
    """A tree of evaluated tokens, with their keys and values in every layer.

    :ivar access: how the next forward reads and extends the tree.
    :ivar cache: the tree as a Transformers cache.
    :ivar layers: the list of layers of `cache`, which the first forward fills.
    :ivar tokens: the token of each node.
    :ivar parents: the parent of each node, -1 for a first token.
    :ivar depths: number of tokens before each node.
    """

    def __init__(self) -> None:
        self.access = CacheAccess()
        # Transformers takes a class, which it calls without arguments.
        make_layer = cast("type[CacheLayerMixin]", partial(TreeLayer, self.access))
        self.cache = Cache(layer_class_to_replicate=make_layer)
        self.layers = cast("list[TreeLayer]", self.cache.layers)
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self._children: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def bytes(self) -> int:
        """Memory of keys and values."""
        return sum(layer.bytes for layer in self.layers)

    def child(self, node: int, token: int) -> int | None:
        """Return the node of `token` after `node` (-1: at the start); None if there is none."""
        return self._children.get((node, token))

    def ancestors(self, node: int) -> list[int]:
        """Return `node` and all its ancestors, the first token last."""
        nodes = []
        while node >= 0:
            nodes.append(node)
            node = self.parents[node]
        return nodes

    def commit(self, tokens: list[int], parents: list[int]) -> None:
        """Add the nodes that the last forward wrote after the committed ones."""
        for token, parent in zip(tokens, parents, strict=True):
            self._add(token, parent)
        for layer in self.layers:
            layer.length = len(self.tokens)

    def compact(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Drop all nodes except `nodes`; return the new number of each old node, or -1.

        :param nodes: sorted, with the ancestors of each.
        """
        new_numbers = self._renumber(nodes)
        index = torch.from_numpy(nodes)
        for layer in self.layers:
            layer.compact(index)
        return new_numbers

    def copy_of(self, nodes: NDArray[np.int64]) -> tuple[KVCacheTree, NDArray[np.int64]]:
        """Return a new tree with copies of `nodes`, and their numbers; see `compact`."""
        tree = KVCacheTree()
        index = torch.from_numpy(nodes)
        tree.layers.extend(layer.copy_of(index, tree.access) for layer in self.layers)
        tree.tokens, tree.parents, tree.depths = self.tokens, self.parents, self.depths
        return tree, tree._renumber(nodes)

    def _renumber(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        new_numbers = np.full(len(self.tokens), -1, dtype=np.int64)
        new_numbers[nodes] = np.arange(len(nodes))
        tokens, parents = self.tokens, self.parents
        self.tokens, self.parents, self.depths, self._children = [], [], [], {}
        for node in nodes.tolist():
            parent = parents[node]
            self._add(tokens[node], int(new_numbers[parent]) if parent >= 0 else -1)
        return new_numbers

    def _add(self, token: int, parent: int) -> None:
        self._children[parent, token] = len(self.tokens)
        self.tokens.append(token)
        self.parents.append(parent)
        self.depths.append(self.depths[parent] + 1 if parent >= 0 else 0)
