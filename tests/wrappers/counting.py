"""A backend that counts what it is asked."""

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
    """`random`, which answers trees and completions itself, as engines do."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls: list[str] = []
        #: How many queries each call of trees had.
        self.queries: list[int] = []

    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        self.calls.append("greedy_impl")
        return super().greedy_impl(tokens)

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        self.calls.append("greedy_tree_impl")
        self.queries.append(len(queries))
        answers = NumpyScoreCollector(queries)
        forest = answers.forest
        wanted = np.flatnonzero(forest.needs_row).tolist()
        rows = [RandomLM.greedy_impl(self, forest.sequence(node)) for node in wanted]
        answers.add(wanted, np.stack(rows))
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
