"""From logits to the answers of tree queries, row by row as they come."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from autocog_core import TreeQuery, TreeScores
from autocog_tf.forest import Forest, add_query


class TreeAnswers:
    """Collects what several queries ask for, while their forest is evaluated.

    :ivar forest: what has to be evaluated for all of them.
    """

    def __init__(self, queries: Sequence[TreeQuery]) -> None:
        self.forest = Forest(len(queries))
        self._queries = queries
        sizes = [len(query.tokens) for query in queries]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._values = np.zeros(int(self._starts[-1]), dtype=np.float64)
        self._tops = [
            (
                np.full((len(query.top_at), query.top_k), -1, dtype=np.int32),
                np.full((len(query.top_at), query.top_k), -np.inf),
            )
            for query in queries
        ]
        #: By forest node: (query, row of its top arrays).
        self._top_rows: dict[int, list[tuple[int, int]]] = {}
        asked: list[NDArray[np.int64]] = []
        for number, query in enumerate(queries):
            nodes = np.array(add_query(self.forest, query, number), dtype=np.int64)
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

    def add(self, nodes: Sequence[int], logits: torch.Tensor) -> None:
        """Take the logits (r, V) of the distributions after r of the forest's nodes."""
        logits = logits.float()
        totals = torch.logsumexp(logits, dim=-1)
        slices = [self._order[self._bounds[node] : self._bounds[node + 1]] for node in nodes]
        places = np.concatenate(slices)
        rows = np.repeat(np.arange(len(nodes)), [len(found) for found in slices])
        index = torch.from_numpy(rows).to(logits.device)
        tokens = torch.from_numpy(self._tokens[places]).to(logits.device)
        # Subtracted on the CPU: not every device has float64.
        values = logits[index, tokens].cpu().double() - totals[index].cpu().double()
        self._values[places] = values.numpy()
        for row, node in enumerate(nodes):
            for query, place in self._top_rows.get(node, ()):
                self._add_top(query, place, logits[row], float(totals[row]))

    def answers(self) -> list[TreeScores]:
        """One answer a query, once all wanted nodes were added."""
        return [
            TreeScores(self._values[start:end], *self._tops[number], self.forest.evaluated[number])
            for number, (start, end) in enumerate(
                zip(self._starts.tolist(), self._starts[1:].tolist(), strict=False)
            )
        ]

    def _add_top(self, number: int, place: int, logits: torch.Tensor, total: float) -> None:
        query = self._queries[number]
        if query.mask is not None:
            allowed = torch.from_numpy(query.mask).to(logits.device)
            logits = logits.masked_fill(~allowed, -torch.inf)
        count = min(query.top_k, logits.shape[0])
        if count == 0:
            return
        least = torch.topk(logits, count).values[-1]
        # All that reach the least of them: among equals (frequent in half precision) the lower id.
        ids = torch.nonzero((logits >= least) & torch.isfinite(logits)).squeeze(1)
        ids = ids[torch.argsort(logits[ids], descending=True, stable=True)][:count]
        tokens, logprobs = self._tops[number]
        if math.isnan(total):
            # Not "nothing is allowed": what the model said must not look like an answer.
            logprobs[place] = math.nan
            return
        tokens[place, : len(ids)] = ids.cpu().numpy()
        logprobs[place, : len(ids)] = logits[ids].cpu().double().numpy() - total


class RowAnswer:
    """Collects one whole distribution."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.forest = Forest(1)
        self.forest.wanted[self.forest.path(tokens, 0)] = True
        self.row: NDArray[np.float32] = np.zeros(0, dtype=np.float32)

    def add(self, nodes: Sequence[int], logits: torch.Tensor) -> None:
        """Take the logits (1, V) of the only distribution that is wanted."""
        # In float32 torch.log_softmax is off by 2e-5 nats over a large vocabulary, to one side.
        row = torch.log_softmax(logits[0].cpu().double(), dim=-1)
        self.row = row.float().numpy()
