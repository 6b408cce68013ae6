"""TokenTree: a trie of token sequences in flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Int32Array = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TokenTree:
    """A trie of token sequences that all continue one prefix.

    :ivar tokens: int32 (n,), the token of each node.
    :ivar parents: int32 (n,), the index of each node's parent, always smaller than its own;
        -1 for the nodes that follow the prefix directly.
    :ivar path_nodes: int32, the nodes of every sequence, one sequence after the other.
    :ivar path_starts: int64 (sequences + 1,), where each sequence begins in `path_nodes`.
    """

    tokens: Int32Array
    parents: Int32Array
    path_nodes: Int32Array
    path_starts: NDArray[np.int64]

    @classmethod
    def build(cls, sequences: Sequence[Sequence[int]]) -> TokenTree:
        """The trie of `sequences`; a shared beginning becomes shared nodes."""
        tokens: list[int] = []
        parents: list[int] = []
        path_nodes: list[int] = []
        starts = [0]
        index: dict[tuple[int, int], int] = {}
        previous: Sequence[int] = ()
        for sequence in sequences:
            # What it shares with the one before it, which is often most of it, needs no look-up.
            shared = common_prefix_length(previous, sequence)
            begin = starts[-1] - len(previous)
            path_nodes += path_nodes[begin : begin + shared]
            node = path_nodes[-1] if shared else -1
            for token in sequence[shared:]:
                key = (node, token)
                child = index.get(key)
                if child is None:
                    child = len(tokens)
                    index[key] = child
                    tokens.append(token)
                    parents.append(node)
                node = child
                path_nodes.append(child)
            starts.append(len(path_nodes))
            previous = sequence
        return cls(
            np.array(tokens, dtype=np.int32),
            np.array(parents, dtype=np.int32),
            np.array(path_nodes, dtype=np.int32),
            np.array(starts, dtype=np.int64),
        )

    @property
    def ends(self) -> Int32Array:
        """int32 (sequences,): the last node of every sequence, -1 for an empty one."""
        ends = np.full(len(self.path_starts) - 1, -1, dtype=np.int32)
        filled = np.diff(self.path_starts) > 0
        ends[filled] = self.path_nodes[self.path_starts[1:][filled] - 1]
        return ends

    def path(self, sequence: int) -> Int32Array:
        """int32 (length,): the nodes of one sequence, first to last."""
        return self.path_nodes[self.path_starts[sequence] : self.path_starts[sequence + 1]]

    def children(self) -> dict[int, list[int]]:
        """Children by node, for the nodes that have any; -1 stands for the prefix."""
        found: dict[int, list[int]] = {}
        for node, parent in enumerate(self.parents.tolist()):
            found.setdefault(parent, []).append(node)
        return found


def common_prefix_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many leading tokens two sequences share."""
    length = min(len(first), len(second))
    # Often one begins the other, and slices are compared faster than tokens.
    if first[:length] == second[:length]:
        return length
    for i, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return i
    return length


@dataclass(frozen=True, slots=True, eq=False)
class TreeQuery:
    """A token tree to score: next-token log-probabilities at its nodes.

    :ivar prefix: the ids before the tree, BOS included where the model has one; at least one.
    :ivar tokens: int32 (n,), the tree's tokens.
    :ivar parents: int32 (n,), index of each node's parent (smaller than its own); -1: the prefix.
    :ivar top_at: int32 (m,), nodes (-1: the prefix) at which the `top_k` likeliest next tokens
        are wanted too.
    :ivar mask: bool (V,), tokens allowed among the top ones (values are not renormalised).
    """

    prefix: Sequence[int]
    tokens: NDArray[np.int32]
    parents: NDArray[np.int32]
    top_at: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    top_k: int = 0
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TreeScores:
    """Answer to a `TreeQuery`.

    :ivar values: float64 (n,): values[i] = log P(tokens[i] | prefix, path to parents[i]).
    :ivar top_tokens: int32 (m, k), likeliest first (ties: the lower id); -1 where there is none.
    :ivar top_logprobs: float64 (m, k); -inf where there is none.
    :ivar tokens_evaluated: how many tokens the model evaluated for it. For several queries answered
        together the sum over the answers is the total.
    """

    values: NDArray[np.float64]
    top_tokens: NDArray[np.int32]
    top_logprobs: NDArray[np.float64]
    tokens_evaluated: int
