"""A backend that counts its calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.backends.random import RandomLM
from autocog_core.toolkit.tree_answers import NumpyScoreCollector
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.token_tree import TreeQuery, TreeScores


class CountingLM(RandomLM):
    """`random` with its own token trees and completions, like an engine.

    :ivar calls: the hooks that were called.
    :ivar queries: number of queries of each call of `greedy_tree_impl`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls: list[str] = []
        self.queries: list[int] = []

    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        self.calls.append("greedy_impl")
        return super().greedy_impl(tokens)

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        self.calls.append("greedy_tree_impl")
        self.queries.append(len(queries))
        answers = NumpyScoreCollector(queries)
        forest = answers.forest
        nodes = np.flatnonzero(forest.needs_row).tolist()
        rows = [RandomLM.greedy_impl(self, forest.sequence(node)) for node in nodes]
        answers.add(nodes, np.stack(rows))
        forest.count_evaluated(range(len(forest)))
        return answers.scores()

    def complete_impl(self, request: CompletionRequest) -> Completion:
        self.calls.append("complete")
        written = RandomLM(**self.settings.model_dump()).complete(
            request.prompt,
            max_tokens=request.max_tokens,
            stop=request.stop,
            temperature=request.temperature,
            seed=request.seed,
            n=request.n,
        )
        if request.on_text is not None:
            for letter in written.text:
                request.on_text(letter)
        return written
