"""`RowBatches` of the toolkit on a real transformer: masks, positions, padding and kept states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DynamicCache

from autocog_core.toolkit import RowBatch, RowBatches
from tests.support.tf.tree_checks import ENGINE, check, query_of

HEADER = list(range(10, 30))
QUERIES = [
    query_of(HEADER, [3, 4, 5], [3, 4, 6], [3, 7], [8, 9]),
    query_of([*HEADER, 40, 41], [3, 4], [5, 6, 7, 8]),
    query_of([50], [3, 4, 4], [5, 6]),
]


def forward(tokens: Any, **arguments: Any) -> Any:
    """Return the logits after all tokens, (rows, n, V)."""
    ids = torch.as_tensor(np.array(tokens, dtype=np.int64))
    return ENGINE.forward(ids, torch.arange(ids.shape[1]), **arguments).numpy()


def by_rows(batch: RowBatch, cache: Any) -> Any:
    if cache is not None:
        cache.batch_repeat_interleave(len(batch.rows))
    # Padding is on the right, where no token sees it.
    return forward(batch.padded(), cache=cache)


def by_tree(batch: RowBatch, cache: Any) -> Any:
    (row,) = batch.rows
    mask = torch.where(torch.from_numpy(row.mask()), 0.0, torch.finfo(torch.float32).min)
    positions = torch.from_numpy(row.depths().astype(np.int64))
    return forward([row.tokens], mask=mask[None, None], positions=positions[None], cache=cache)


def state_after(prefix: Sequence[int]) -> Any:
    cache = DynamicCache(config=ENGINE.config)
    forward([prefix], cache=cache)
    return cache


@pytest.mark.parametrize("keep_prefix", [False, True], ids=["scratch", "kept"])
@pytest.mark.parametrize("as_tree", [False, True], ids=["rows", "tree"])
@pytest.mark.parametrize("max_tokens", [30, 4096])
def test_every_way_equals_plain_forwards(keep_prefix: bool, as_tree: bool, max_tokens: int) -> None:
    batches = RowBatches(
        QUERIES,
        vocabulary_size=ENGINE.config.vocab_size,
        max_tokens=max_tokens,
        keep_prefix=keep_prefix,
        as_tree=as_tree,
    )
    with torch.no_grad():
        for batch in batches:
            cache = state_after(batch.prefix) if batch.prefix else None
            evaluate = by_tree if as_tree else by_rows
            for row, logits in zip(batch.rows, evaluate(batch, cache), strict=True):
                batches.take(row, logits[row.positions])
    check(QUERIES, batches.scores())
