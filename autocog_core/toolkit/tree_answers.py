"""From logits to the answers of tree queries, node by node as an engine evaluates them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.numerics import Int64Array, logsumexp_row, top_k_ids
from autocog_core.toolkit.prefix_forest import PrefixForest, add_query
from autocog_core.types.token_tree import TreeQuery, TreeScores


class TreeScoreCollector:
    """What several queries ask for, in one forest, and the places their answers go to.

    An engine evaluates `forest` and hands over the logits after its wanted nodes; the subclasses
    read from them what is asked, each for one kind of array.

    :ivar forest: what has to be evaluated for all queries.
    :ivar roots: nodes after which a query's tree begins, with all tokens up to them.
    """

    def __init__(self, queries: Sequence[TreeQuery]) -> None:
        self.forest = PrefixForest(len(queries))
        self.roots: dict[int, tuple[int, ...]] = {}
        self._queries = queries
        sizes = [len(query.tokens) for query in queries]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._values = np.zeros(int(self._starts[-1]), dtype=np.float64)
        self._top_arrays = [
            (
                np.full((len(query.top_at), query.top_k), -1, dtype=np.int32),
                np.full((len(query.top_at), query.top_k), -np.inf),
            )
            for query in queries
        ]
        #: By forest node: (query, row of its top arrays).
        self._top_rows: dict[int, list[tuple[int, int]]] = {}
        asked: list[Int64Array] = []
        for number, query in enumerate(queries):
            nodes = np.array(add_query(self.forest, query, number), dtype=np.int64)
            self.roots[int(nodes[-1])] = tuple(query.prefix)
            # Place -1, the prefix, is the last entry, as the index -1 says.
            asked.append(nodes[query.parents])
            for row, place in enumerate(query.top_at.tolist()):
                self._top_rows.setdefault(int(nodes[place]), []).append((number, row))
        at_node = np.concatenate(asked) if asked else np.zeros(0, dtype=np.int64)
        tokens = [query.tokens.astype(np.int64) for query in queries]
        self._tokens = np.concatenate(tokens) if tokens else np.zeros(0, dtype=np.int64)
        # Values sorted by the node whose distribution they are read from: one slice a node.
        self._order = np.argsort(at_node, kind="stable")
        self._bounds = np.searchsorted(at_node[self._order], np.arange(len(self.forest) + 1))

    def scores(self) -> list[TreeScores]:
        """One answer a query, once all wanted nodes were added."""
        return [
            TreeScores(
                self._values[start:end], *self._top_arrays[number], self.forest.evaluated[number]
            )
            for number, (start, end) in enumerate(
                zip(self._starts.tolist(), self._starts[1:].tolist(), strict=False)
            )
        ]

    def _reads_after(self, nodes: Sequence[int]) -> tuple[Int64Array, Int64Array, Int64Array]:
        """What is read from the distributions after `nodes`: places, rows and tokens, each (k,)."""
        slices = [self._order[self._bounds[node] : self._bounds[node + 1]] for node in nodes]
        places = np.concatenate(slices)
        rows = np.repeat(np.arange(len(nodes)), [len(found) for found in slices])
        return places, rows, self._tokens[places]

    def _top_requests_after(
        self, node: int
    ) -> list[tuple[TreeQuery, NDArray[np.int32], NDArray[Any]]]:
        """For each query that asks for the likeliest after `node`: ids and log-probs to fill."""
        found = []
        for number, row in self._top_rows.get(node, ()):
            tokens, logprobs = self._top_arrays[number]
            found.append((self._queries[number], tokens[row], logprobs[row]))
        return found


class NumpyScoreCollector(TreeScoreCollector):
    """Reads what is asked from NumPy arrays of logits."""

    def add(self, nodes: Sequence[int], logits: NDArray[np.float32]) -> None:
        """Take the logits (r, V) of the distributions after r of the forest's nodes."""
        totals = np.array([logsumexp_row(row) for row in logits], dtype=np.float64)
        places, rows, tokens = self._reads_after(nodes)
        self._values[places] = logits[rows, tokens].astype(np.float64) - totals[rows]
        for node, row, whole in zip(nodes, logits, totals.tolist(), strict=True):
            for query, ids, logprobs in self._top_requests_after(node):
                if np.isnan(whole):
                    # Not "nothing is allowed": what the model said must not look like an answer.
                    logprobs[:] = np.nan
                    continue
                best = top_k_ids(row, query.top_k, query.mask)
                ids[: len(best)] = best
                logprobs[: len(best)] = row[best].astype(np.float64) - whole
