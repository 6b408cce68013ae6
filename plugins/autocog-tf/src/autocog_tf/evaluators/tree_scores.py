"""From torch's logits to the answers of tree queries, row by row as they come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autocog_core import TreeQuery
from autocog_core.toolkit import PrefixForest, TreeScoreCollector


class TorchScoreCollector(TreeScoreCollector):
    """Collects what several queries ask for, while their forest is evaluated."""

    def add(self, nodes: Sequence[int], logits: torch.Tensor) -> None:
        """Take the logits (r, V) of the distributions after r of the forest's nodes."""
        logits = logits.float()
        totals = torch.logsumexp(logits, dim=-1)
        places, rows, asked = self._reads_after(nodes)
        index = torch.from_numpy(rows).to(logits.device)
        tokens = torch.from_numpy(asked).to(logits.device)
        # Subtracted on the CPU: not every device has float64.
        values = logits[index, tokens].cpu().double() - totals[index].cpu().double()
        self._values[places] = values.numpy()
        for row, node in enumerate(nodes):
            for query, ids, logprobs in self._top_requests_after(node):
                _fill_top(query, ids, logprobs, logits[row], float(totals[row]))


def _fill_top(
    query: TreeQuery,
    tokens: NDArray[np.int32],
    logprobs: NDArray[Any],
    logits: torch.Tensor,
    total: float,
) -> None:
    if query.mask is not None:
        # A copy: masks are shared between runs, and not to be written to.
        allowed = torch.tensor(query.mask, device=logits.device)
        logits = logits.masked_fill(~allowed, -torch.inf)
    count = min(query.top_k, logits.shape[0])
    if count == 0:
        return
    least = torch.topk(logits, count).values[-1]
    # All that reach the least of them: among equals (frequent in half precision) the lower id.
    ids = torch.nonzero((logits >= least) & torch.isfinite(logits)).squeeze(1)
    ids = ids[torch.argsort(logits[ids], descending=True, stable=True)][:count]
    if math.isnan(total):
        # Not "nothing is allowed": what the model said must not look like an answer.
        logprobs[:] = math.nan
        return
    tokens[: len(ids)] = ids.cpu().numpy()
    logprobs[: len(ids)] = logits[ids].cpu().double().numpy() - total


class RowCollector:
    """Collects one whole distribution."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.forest = PrefixForest(1)
        self.forest.needs_row[self.forest.add_path(tokens, 0)] = True
        self.row: NDArray[np.float32] = np.zeros(0, dtype=np.float32)

    def add(self, nodes: Sequence[int], logits: torch.Tensor) -> None:
        """Take the logits (1, V) of the only distribution that is wanted."""
        # In float32 torch.log_softmax is off by 2e-5 nats over a large vocabulary, to one side.
        row = torch.log_softmax(logits[0].cpu().double(), dim=-1)
        self.row = row.float().numpy()
