"""A slow reference implementation: llama-cpp-python's class, one sequence at a time, no cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from autocog_core import TreeQuery
from autocog_core.numerics import log_softmax


class Plain:
    """Rows of log-probabilities, from an evaluation of the whole sequence.

    :param exact: no flash attention and a cache in float32, as with the option `exact`.
    """

    def __init__(self, path: Path | str, n_ctx: int = 512, *, exact: bool = True) -> None:
        cache = 0 if exact else 1
        self.llama = llama_cpp.Llama(
            str(path),
            n_ctx=n_ctx,
            logits_all=True,
            verbose=False,
            n_threads=1,
            n_threads_batch=1,
            flash_attn=not exact,
            type_k=cache,
            type_v=cache,
        )

    def rows(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return float32 (n, V): the log-probabilities after each token, in one pass."""
        self.llama.reset()
        self.llama._ctx.kv_cache_clear()
        self.llama.eval(list(tokens))
        return log_softmax(np.array(self.llama.scores[: len(tokens)]))

    def row(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return float32 (V,): the log-probabilities after `tokens`."""
        return self.rows(tokens)[-1]

    def values(self, query: TreeQuery) -> NDArray[np.float64]:
        """Return the expected `TreeScores.values`."""
        prefix = list(query.prefix)
        values = []
        for node, token in enumerate(query.tokens.tolist()):
            path: list[int] = []
            parent = int(query.parents[node])
            while parent >= 0:
                path.append(int(query.tokens[parent]))
                parent = int(query.parents[parent])
            values.append(self.row(prefix + path[::-1])[token])
        return np.array(values, dtype=np.float64)
