"""A session in Python, over ctypes; how trees are evaluated is for those who inherit it to say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from autocog_core import EngineError, TreeQuery, TreeScores
from autocog_core.toolkit import LogitsCache, NumpyScoreCollector, PrefixForest, log_softmax
from autocog_llamacpp.llama.context import Context, NoSlotError, no_room
from autocog_llamacpp.llama.session import Rows

#: Takes some of the forest's wanted nodes and the logits (r, V) after them.
Sink = Callable[[Sequence[int], Rows], None]


class PythonSession(ABC):
    """See `Session`. It knows whether its account of llama.cpp's memory is true, whatever came."""

    name = ""

    def __init__(self, context: Context) -> None:
        self.lent = False
        self._context = context
        #: Whether no call was left in the middle.
        self._sure = True
        self._rows: LogitsCache[NDArray[np.float32]] = LogitsCache(np.copy)

    @property
    @abstractmethod
    def held(self) -> int:
        """See `Session.held`."""

    @abstractmethod
    def lengths(self) -> list[int]:
        """See `Session.lengths`."""

    @abstractmethod
    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """Pass every wanted node with its logits to `sink`, and count what was evaluated.

        :raises EngineError: if llama.cpp fails; nothing is kept then, and the next call works.
        """

    @abstractmethod
    def open(self, tokens: Sequence[int], count: int, handles: list[int]) -> Rows:
        """See `Session.open`."""

    @abstractmethod
    def release(self, handles: Sequence[int], texts: Sequence[Sequence[int]]) -> None:
        """See `Session.release`."""

    @abstractmethod
    def together(self, fitting: int) -> int:
        """See `Session.together`."""

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """See `Session.score_trees`."""
        answers = NumpyScoreCollector(queries)
        self._rows.answer(answers, self.evaluate)
        return answers.scores()

    def row(self, tokens: Sequence[int]) -> Rows:
        """See `Session.row`."""
        return log_softmax(self._logits_after(tokens))

    def step(self, handles: Sequence[int], tokens: Sequence[int]) -> Rows:
        """See `Session.step`."""
        self._settle()
        self._sure = False
        lengths = [length for handle in handles if (length := self._length_of(handle)) is not None]
        count = len(handles)
        if len(lengths) < count:
            raise EngineError(
                "another call on the model has ended this completion",
                hint="make no calls in on_text that fail, or ask for more than the memory holds",
            )
        self._prepare_step(count)
        strands = np.arange(count, dtype=np.int32)
        try:
            rows = self._context.decode(
                np.array(tokens, dtype=np.int32),
                np.array(lengths, dtype=np.int32),
                np.array(handles, dtype=np.int32),
                strands,
                strands + 1,
                np.ones(count, dtype=bool),
            )
        except NoSlotError as error:
            raise no_room() from error
        self._take_step(handles, tokens)
        self._sure = True
        return rows

    def forget(self) -> None:
        """See `Session.forget`."""
        self._rows.clear()
        self._reset()

    @abstractmethod
    def _length_of(self, handle: int) -> int | None:
        """How many tokens a held sequence has; None where it is not held."""

    @abstractmethod
    def _prepare_step(self, count: int) -> None:
        """Make room for a token on each of so many held sequences."""

    @abstractmethod
    def _take_step(self, handles: Sequence[int], tokens: Sequence[int]) -> None:
        """Note that held sequences have one token more."""

    @abstractmethod
    def _reset(self) -> None:
        """Drop everything that memory holds."""

    def _settle(self, *, releasing: bool = False) -> None:
        """Whoever begins and does not come to his end leaves behind what nobody knows."""
        if not self._sure or (self.held and not self.lent and not releasing):
            self._reset()

    def _logits_after(self, tokens: Sequence[int]) -> Rows:
        """The logits (V,) after a sequence."""
        found: list[Rows] = []
        forest = PrefixForest(1)
        forest.needs_row[forest.add_path(tokens, 0)] = True
        self.evaluate(forest, lambda _, rows: found.append(rows[0].copy()))
        return found[0]
