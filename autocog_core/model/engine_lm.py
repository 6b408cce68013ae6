"""EngineLM: the base class of backends that forward all their hooks to an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from autocog_core.model.tokenizer_lm import EngineTokenizer, TokenizerLM
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.token_tree import TreeQuery, TreeScores


class Engine(Protocol):
    """A loaded model, with its tokenizer and the caches that its calls share.

    For what else it may have, see `TokenizerLM`.
    """

    @property
    def tokenizer(self) -> EngineTokenizer:
        """The tokenizer."""

    @property
    def info(self) -> BackendInfo:
        """The result of the hook `describe`."""

    def row(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the log-probability of every token after `tokens`, float32 (V,)."""

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Return the scores of each query."""


FullEngine = TypeVar("FullEngine", bound=Engine)


class EngineLM(TokenizerLM[FullEngine], Generic[FullEngine]):
    """A backend that forwards all its hooks to one engine.

    A subclass defines `load_engine`.
    """

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        return self.engine.score_trees(queries)

    def describe_impl(self) -> BackendInfo:
        return self.engine.info
