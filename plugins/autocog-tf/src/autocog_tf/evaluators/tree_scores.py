"""From torch's logits to the scores of tree queries."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from autocog_core.toolkit import PrefixForest, TopRequest, TreeScoreCollector


class TorchScoreCollector(TreeScoreCollector):
    """Reads scores from torch tensors of logits."""

    def add(self, nodes: Sequence[int], logits: torch.Tensor) -> None:
        """Receive the logits (r, V) of the distributions after r of the forest's nodes."""
        logits = logits.float()
        totals = torch.logsumexp(logits, dim=-1)
        # Not "impossible": after an overflow, no number of the row is one.
        totals = torch.where(torch.isfinite(totals), totals, math.nan)
        indices, rows, tokens = self._reads_after(nodes)
        row_index = torch.from_numpy(rows).to(logits.device)
        token_index = torch.from_numpy(tokens).to(logits.device)
        # Subtract on the CPU: not every device has float64.
        values = logits[row_index, token_index].cpu().double() - totals[row_index].cpu().double()
        self._values[indices] = values.numpy()
        for row, node in enumerate(nodes):
            for request in self._top_requests_after(node):
                _fill_top(request, logits[row], float(totals[row]))


def _fill_top(request: TopRequest, logits: torch.Tensor, total: float) -> None:
    """Write the `top_k` likeliest ids after one node, and their log-probabilities, in place."""
    query, ids, logprobs, mask_logprob = request
    if math.isnan(total):
        # Not "no token is allowed": a broken row must not look like an answer.
        logprobs[:] = math.nan
        return
    allowed = None
    if query.mask is not None:
        # A constraint often leaves a few tokens of a large vocabulary.
        allowed = torch.from_numpy(np.flatnonzero(query.mask)).to(logits.device)
        logits = logits.index_select(0, allowed)
    if mask_logprob is not None:
        mask_logprob[:] = float(torch.logsumexp(logits, dim=-1)) - total
    count = min(query.top_k, logits.shape[0])
    if count == 0:
        return
    threshold = torch.topk(logits, count).values[-1]
    # topk breaks ties arbitrarily. Ties are frequent in half precision: prefer the lower id.
    best = torch.nonzero((logits >= threshold) & torch.isfinite(logits)).squeeze(1)
    best = best[torch.argsort(logits[best], descending=True, stable=True)][:count]
    ids[: len(best)] = (best if allowed is None else allowed[best]).cpu().numpy()
    logprobs[: len(best)] = logits[best].cpu().double().numpy() - total


class RowCollector:
    """Reads one whole distribution.

    :param tokens: the sequence before it.
    :ivar forest: the nodes of the sequence.
    :ivar row: float32 (V,), log-probabilities; empty until `add` is called.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self.forest = PrefixForest(1)
        self.forest.needs_row[self.forest.add_path(tokens, 0)] = True
        self.row: NDArray[np.float32] = np.zeros(0, dtype=np.float32)

    def add(self, nodes: Sequence[int], logits: torch.Tensor) -> None:
        """Receive the logits (1, V) after the sequence."""
        # In float32, torch.log_softmax over a large vocabulary is biased by 2e-5 nats.
        row = torch.log_softmax(logits[0].cpu().double(), dim=-1)
        self.row = row.float().numpy()
