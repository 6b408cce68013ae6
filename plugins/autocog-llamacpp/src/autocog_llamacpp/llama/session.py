"""What an engine asks of its memory: trees scored, and sequences held for completions.

There are two kinds: `PythonSession`, over ctypes, and `NativeSession`, in C++. They evaluate the
same tokens, and are held against each other in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from autocog_core import TreeQuery, TreeScores

Rows = NDArray[np.float32]


class Session(Protocol):
    """A context with what it keeps between calls. Calls must not overlap.

    :ivar name: how it evaluates trees.
    :ivar lent: whether a completion is running, which holds sequences from one call to the next.
        Set by `open`; whoever opened sets it back in the first statement of its `finally`, because
        an interrupt may keep `release` from being called.
    """

    name: str
    lent: bool

    @property
    def held(self) -> int:
        """How many sequences completions hold."""

    def lengths(self) -> list[int]:
        """How many tokens each sequence is believed to have in llama.cpp's memory."""

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Answers to several queries, which share what their sequences have in common.

        :raises EngineError: if llama.cpp fails; nothing is kept then, and the next call works.
        """

    def row(self, tokens: Sequence[int]) -> Rows:
        """float32 (V,): log-probability of every token after `tokens`."""

    def open(self, tokens: Sequence[int], count: int, handles: list[int]) -> Rows:
        """Hold `count` sequences that begin with `tokens`; the logits (V,) after them.

        :param handles: where the sequences are entered, one by one.
        :raises EngineError: if others are held: a completion inside a completion's callback.
        """

    def step(self, handles: Sequence[int], tokens: Sequence[int]) -> Rows:
        """Continue each sequence with a token; the logits (len(handles), V) after them."""

    def release(self, handles: Sequence[int], texts: Sequence[Sequence[int]]) -> None:
        """Let go of sequences that were continued with `texts`; later calls may go on from them."""

    def together(self, fitting: int) -> int:
        """How many sequences may be held at once, if the cells hold `fitting`."""

    def forget(self) -> None:
        """Drop everything that was kept from earlier calls."""
