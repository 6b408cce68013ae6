"""The slow, obvious twin: llama-cpp-python's own class, one sequence at a time from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from autocog_core import TreeQuery
from autocog_core.numerics import log_softmax


class Plain:
    """Rows of log-probabilities, each by a forward of its whole sequence.

    :param exact: no flash attention and a cache in float32, as the option `exact` has it.
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
        """float32 (n, V): what follows each token, evaluated in one pass."""
        self.llama.reset()
        self.llama._ctx.kv_cache_clear()
        self.llama.eval(list(tokens))
        return log_softmax(np.array(self.llama.scores[: len(tokens)]))

    def row(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """float32 (V,): what follows `tokens`."""
        return self.rows(tokens)[-1]

    def values(self, query: TreeQuery) -> NDArray[np.float64]:
        """What `TreeScores.values` should be."""
        prefix = list(query.prefix)
        found = []
        for node, token in enumerate(query.tokens.tolist()):
            path: list[int] = []
            parent = int(query.parents[node])
            while parent >= 0:
                path.append(int(query.tokens[parent]))
                parent = int(query.parents[parent])
            found.append(self.row(prefix + path[::-1])[token])
        return np.array(found, dtype=np.float64)
