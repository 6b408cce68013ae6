"""The interface for evaluation: scores of trees, and sequences held for completions.

Implementations: `AttentionSession` and `RecurrentSession` in Python, over ctypes, and
`NativeSession` in C++. They evaluate the same tokens; the tests compare them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from autocog_core import TreeQuery, TreeScores

Rows = NDArray[np.float32]


class Session(Protocol):
    """A context with its caches. Calls must not overlap.

    :ivar name: how it evaluates trees.
    :ivar in_use: whether a completion is running. `start` sets it. The caller of `start` must reset
        it in the first statement of its `finally`: an interrupt may prevent the call of `finish`.
    """

    name: str
    in_use: bool

    @property
    def active_sequences(self) -> int:
        """The number of sequences that completions hold."""

    def sequence_lengths(self) -> list[int]:
        """Return the number of tokens of each sequence, according to our bookkeeping."""

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Score token trees. Shared prefixes are evaluated once.

        :raises EngineError: if llama.cpp fails. The cache is then empty, and the next call works.
        """

    def score_isolated(self, query: TreeQuery) -> TreeScores:
        """Score a tree by itself; see `TreeQuery.isolated_start`. Only the start stays in memory.

        No completion may be running.

        :raises EngineError: as `score_trees`.
        """

    def row(self, tokens: Sequence[int]) -> Rows:
        """Return float32 (V,): the log-probability of every token after `tokens`."""

    def start(self, tokens: Sequence[int], count: int, handles: list[int]) -> Rows:
        """Hold sequences for a completion.

        :param tokens: the tokens that the sequences start with.
        :param count: number of sequences.
        :param handles: gets the ids of the sequences, one by one.
        :returns: the logits (V,) after `tokens`.
        :raises EngineError: if a completion already holds sequences, or none is free.
        """

    def step(self, handles: Sequence[int], tokens: Sequence[int]) -> Rows:
        """Append a token to each sequence, and return the logits (len(handles), V) after it."""

    def finish(self, handles: Sequence[int], texts: Sequence[Sequence[int]]) -> None:
        """Stop holding sequences.

        :param texts: the tokens that were appended to each sequence. Later calls may reuse them.
        """

    def max_parallel(self, fitting: int) -> int:
        """Return the number of sequences that completions can hold at once.

        :param fitting: number of sequences that the cells have room for.
        """

    def clear(self) -> None:
        """Remove all cached tokens and rows."""
