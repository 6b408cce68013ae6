"""From logits to the scores of tree queries, node by node as an engine evaluates them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import ContractError
from autocog_core.numerics import Int64Array, logsumexp_row, mask_logsumexp, top_k_ids
from autocog_core.toolkit.prefix_forest import PrefixForest, add_query
from autocog_core.types.token_tree import TreeQuery, TreeScores


class TopRequest(NamedTuple):
    """A query that needs the likeliest ids after a node, and the arrays to fill.

    :ivar query: the query.
    :ivar ids: int32 (k,), for the ids.
    :ivar logprobs: float64 (k,), for their log-probabilities.
    :ivar mask_logprob: float64 (1,), for the log of the probability of the query's mask; None if
        the query does not want it.
    """

    query: TreeQuery
    ids: NDArray[np.int32]
    logprobs: NDArray[np.float64]
    mask_logprob: NDArray[np.float64] | None


class TreeScoreCollector:
    """Several queries as one forest, and the scores that are read from its logits.

    An engine evaluates `forest` and passes the logits after the nodes that need a row to `add`,
    which a subclass defines for one kind of array.

    :ivar forest: the nodes that all queries need.
    :ivar roots: nodes after which a query's tree begins, each with all tokens up to it.
    """

    def __init__(self, queries: Sequence[TreeQuery]) -> None:
        self.forest = PrefixForest(len(queries))
        self.roots: dict[int, tuple[int, ...]] = {}
        self._queries = queries
        sizes = [len(query.tokens) for query in queries]
        self._offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        # NaN, not 0: what no logits were added for must not look like certainty.
        self._values = np.full(int(self._offsets[-1]), np.nan)
        self._top_arrays = [
            (
                np.full((len(query.top_at), query.top_k), -1, dtype=np.int32),
                np.full((len(query.top_at), query.top_k), -np.inf),
            )
            for query in queries
        ]
        self._mask_logprobs = [
            np.full(len(query.top_at), np.nan) if query.with_mask_logprobs else None
            for query in queries
        ]
        #: By forest node: (index of the query, row of its top arrays).
        self._top_rows: dict[int, list[tuple[int, int]]] = {}
        parents: list[Int64Array] = []
        for index, query in enumerate(queries):
            nodes = np.array(add_query(self.forest, query, index), dtype=np.int64)
            self.roots[int(nodes[-1])] = tuple(query.prefix)
            # Parent -1, the prefix, is the last entry: the index -1 finds it.
            parents.append(nodes[query.parents])
            for row, node in enumerate(query.top_at.tolist()):
                self._top_rows.setdefault(int(nodes[node]), []).append((index, row))
        at_node = np.concatenate(parents) if parents else np.zeros(0, dtype=np.int64)
        tokens = [query.tokens.astype(np.int64) for query in queries]
        self._tokens = np.concatenate(tokens) if tokens else np.zeros(0, dtype=np.int64)
        # Values sorted by the node whose distribution they are read from: one slice a node.
        self._order = np.argsort(at_node, kind="stable")
        self._bounds = np.searchsorted(at_node[self._order], np.arange(len(self.forest) + 1))
        #: bool (nodes,): whether the logits after a node are still to be added.
        self._is_missing = np.diff(self._bounds) > 0
        self._is_missing[list(self._top_rows)] = True

    def scores(self) -> list[TreeScores]:
        """Return the scores of each query, once all rows were added.

        :raises ContractError: if the logits after some nodes were not added.
        """
        if self._is_missing.any():
            self._raise_missing()
        slices = pairwise(self._offsets.tolist())
        return [
            TreeScores(
                values=self._values[start:end],
                top_tokens=top_tokens,
                top_logprobs=top_logprobs,
                tokens_evaluated=evaluated,
                mask_logprobs=mask_logprobs,
            )
            for (start, end), (top_tokens, top_logprobs), mask_logprobs, evaluated in zip(
                slices, self._top_arrays, self._mask_logprobs, self.forest.evaluated, strict=True
            )
        ]

    def _raise_missing(self) -> None:
        missing = np.flatnonzero(self._is_missing).tolist()
        with_values = np.flatnonzero(np.diff(self._bounds) > 0).tolist()
        wanted = len({*with_values, *self._top_rows})
        shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise ContractError(
            f"no logits were added after {len(missing)} of the {wanted} nodes whose distribution "
            f"is read: nodes {shown} of the forest",
            where=type(self).__name__,
            hint="pass each node that `forest.needs_row` names, with its logits, to `add`",
        )

    def _reads_after(self, nodes: Sequence[int]) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Return what to read after `nodes`: indices of values, rows and tokens, each (k,)."""
        slices = [self._order[self._bounds[node] : self._bounds[node + 1]] for node in nodes]
        self._is_missing[list(nodes)] = False
        indices = np.concatenate(slices)
        rows = np.repeat(np.arange(len(nodes)), [len(part) for part in slices])
        return indices, rows, self._tokens[indices]

    def _top_requests_after(self, node: int) -> Iterator[TopRequest]:
        """Yield the queries that need the likeliest ids after `node`, and the arrays to fill."""
        for index, row in self._top_rows.get(node, ()):
            tokens, logprobs = self._top_arrays[index]
            masses = self._mask_logprobs[index]
            yield TopRequest(
                self._queries[index],
                tokens[row],
                logprobs[row],
                None if masses is None else masses[row : row + 1],
            )


class NumpyScoreCollector(TreeScoreCollector):
    """Reads scores from NumPy arrays of logits."""

    def add(self, nodes: Sequence[int], logits: NDArray[np.float32]) -> None:
        """Receive the logits (r, V) of the distributions after r of the forest's nodes.

        Log-probabilities may be passed too: their logsumexp is 0.
        """
        totals = np.array([logsumexp_row(row) for row in logits], dtype=np.float64)
        indices, rows, tokens = self._reads_after(nodes)
        self._values[indices] = logits[rows, tokens].astype(np.float64) - totals[rows]
        for node, row, total in zip(nodes, logits, totals.tolist(), strict=True):
            for query, ids, logprobs, mask_logprob in self._top_requests_after(node):
                if np.isnan(total):
                    # Not "no token is allowed": a broken row must not look like an answer.
                    logprobs[:] = np.nan
                    continue
                best = top_k_ids(row, query.top_k, query.mask)
                ids[: len(best)] = best
                logprobs[: len(best)] = row[best].astype(np.float64) - total
                if mask_logprob is not None:
                    mask_logprob[:] = mask_logsumexp(row, query.mask) - total
