"""Token trees in flat arrays, queries of their log-probabilities, and the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Int32Array = NDArray[np.int32]

#: From so many tokens on, sorting in NumPy builds a tree faster than a loop over the tokens.
MIN_SORTED_TOKENS = 2000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TokenTree:
    """Trie of token sequences that continue one prefix.

    :ivar tokens: int32 (n,), the token of each node.
    :ivar parents: int32 (n,), index of each node's parent, which is smaller than the node's
        index; -1 for nodes that follow the prefix.
    :ivar path_nodes: int32 (sum of lengths,), the nodes of all sequences, concatenated.
    :ivar path_starts: int64 (sequences + 1,), start of each sequence in `path_nodes`.
    """

    tokens: Int32Array
    parents: Int32Array
    path_nodes: Int32Array
    path_starts: NDArray[np.int64]

    @classmethod
    def build(cls, sequences: Sequence[Sequence[int]]) -> TokenTree:
        """Return the trie of `sequences`; shared prefixes become shared nodes.

        The nodes are in the order in which the sequences, one after the other, need them.
        """
        if sum(map(len, sequences)) >= MIN_SORTED_TOKENS:
            return cls._build_by_sorting(sequences)
        return cls._build_by_looping(sequences)

    @classmethod
    def _build_by_looping(cls, sequences: Sequence[Sequence[int]]) -> TokenTree:
        """Build a tree token by token: fast for few tokens."""
        tokens: list[int] = []
        parents: list[int] = []
        path_nodes: list[int] = []
        starts = [0]
        index: dict[tuple[int, int], int] = {}
        previous: Sequence[int] = ()
        for sequence in sequences:
            # Copy the nodes shared with the previous sequence, often most of them: no look-up.
            shared = common_prefix_length(previous, sequence)
            start = starts[-1] - len(previous)
            path_nodes += path_nodes[start : start + shared]
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
            tokens=np.array(tokens, dtype=np.int32),
            parents=np.array(parents, dtype=np.int32),
            path_nodes=np.array(path_nodes, dtype=np.int32),
            path_starts=np.array(starts, dtype=np.int64),
        )

    @classmethod
    def _build_by_sorting(cls, sequences: Sequence[Sequence[int]]) -> TokenTree:
        """Build the same tree level by level: fast for many tokens."""
        lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
        starts = np.concatenate([[0], np.cumsum(lengths)])
        flat = np.fromiter(chain.from_iterable(sequences), dtype=np.int64, count=starts[-1])
        # For now, nodes are numbered level by level.
        path_nodes = np.empty(len(flat), dtype=np.int64)
        levels: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
        count = 0
        for depth in range(int(lengths.max(initial=0))):
            rows = np.flatnonzero(lengths > depth)
            places = starts[rows] + depth
            parents = path_nodes[places - 1] if depth else np.full(len(rows), -1)
            # Equal nodes have the same parent and token. `first` is where each comes first.
            keys = (parents + 1 << 32) + flat[places]
            _, first, node_of_row = np.unique(keys, return_index=True, return_inverse=True)
            path_nodes[places] = count + node_of_row
            levels.append((flat[places[first]], parents[first], rows[first]))
            count += len(first)
        depths = np.repeat(np.arange(len(levels)), [len(level[0]) for level in levels])
        tokens, parents, first_rows = (
            np.concatenate(column) if levels else np.zeros(0, dtype=np.int64)
            for column in (zip(*levels, strict=True) if levels else ((), (), ()))
        )
        # A sequence brings its new nodes in the order of their depth.
        order = np.lexsort((depths, first_rows))
        number = np.empty(count + 1, dtype=np.int32)
        number[order] = np.arange(count)
        number[-1] = -1
        return cls(
            tokens=tokens[order].astype(np.int32),
            parents=number[parents[order]],
            path_nodes=number[path_nodes],
            path_starts=starts,
        )

    @property
    def ends(self) -> Int32Array:
        """int32 (sequences,): the last node of each sequence; -1 for an empty one."""
        ends = np.full(len(self.path_starts) - 1, -1, dtype=np.int32)
        filled = np.diff(self.path_starts) > 0
        ends[filled] = self.path_nodes[self.path_starts[1:][filled] - 1]
        return ends

    def path(self, sequence: int) -> Int32Array:
        """Return the nodes of one sequence, first to last: int32 (length,)."""
        return self.path_nodes[self.path_starts[sequence] : self.path_starts[sequence + 1]]

    def children(self) -> dict[int, list[int]]:
        """Return the children of each inner node; key -1 is the prefix."""
        children: dict[int, list[int]] = {}
        for node, parent in enumerate(self.parents.tolist()):
            children.setdefault(parent, []).append(node)
        return children


def common_prefix_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the number of leading tokens that two sequences share."""
    length = min(len(first), len(second))
    # Often one is a prefix of the other, and slices compare faster than single tokens.
    if first[:length] == second[:length]:
        return length
    for index, (left, right) in enumerate(zip(first, second, strict=False)):
        if left != right:
            return index
    return length


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TreeQuery:
    """Request for the log-probabilities of a token tree's tokens.

    :ivar prefix: ids before the tree, at least one, BOS included.
    :ivar tokens: int32 (n,), the token of each node.
    :ivar parents: int32 (n,), index of each node's parent (smaller than the node's); -1 is the
        prefix.
    :ivar top_at: int32 (m,), nodes after which to return also the likeliest next tokens; -1 is
        the prefix.
    :ivar top_k: number of next tokens to return at each of these nodes.
    :ivar mask: bool (V,), next tokens to choose from; None for all. It does not change their
        log-probabilities.
    :ivar with_mask_logprobs: whether to return also the probability of the mask.
    :ivar isolated_start: None if the engine may evaluate the tree with others, and continue any
        tokens that it has cached. Otherwise, the answer must depend on this query alone, whatever
        was evaluated before or with it: the engine evaluates so many first ids of the prefix by
        themselves, from an empty sequence, and then the other ids and the tree by themselves. It
        may cache the first ids for queries that begin with the same ones. Less than the length
        of the prefix. An engine whose numbers do not depend on batches ignores it.
    """

    prefix: Sequence[int]
    tokens: NDArray[np.int32]
    parents: NDArray[np.int32]
    top_at: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    top_k: int = 0
    mask: NDArray[np.bool_] | None = None
    with_mask_logprobs: bool = False
    isolated_start: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TreeScores:
    """Answer to a `TreeQuery`.

    :ivar values: float64 (n,), values[i] = log P(tokens[i] | prefix, path to parents[i]).
    :ivar top_tokens: int32 (m, k), likeliest first (ties: the lower id); -1 fills up rows with
        fewer than k tokens.
    :ivar top_logprobs: float64 (m, k), their log-probabilities; -inf fills up rows.
    :ivar tokens_evaluated: number of tokens that the model evaluated. If one call answers
        several queries, the sum over the answers is the total.
    :ivar mask_logprobs: float64 (m,), log of the probability that the next token is in the mask, if
        the query wants it; None from a backend that does not compute it, and then core does.
    """

    values: NDArray[np.float64]
    top_tokens: NDArray[np.int32]
    top_logprobs: NDArray[np.float64]
    tokens_evaluated: int
    mask_logprobs: NDArray[np.float64] | None = None
