"""Sessions in Python, over ctypes. Subclasses define how trees are evaluated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from autocog_core import EngineError, TreeQuery, TreeScores
from autocog_core.toolkit import LogitsCache, NumpyScoreCollector, PrefixForest, log_softmax
from autocog_llamacpp.llama.context import Context, NoSlotError, full_context_error
from autocog_llamacpp.llama.isolated import start_tokens
from autocog_llamacpp.llama.session import Rows

#: Receives nodes of the forest, and the logits (r, V) after them.
Sink = Callable[[Sequence[int], Rows], None]


class PythonSession(ABC):
    """The common part of the sessions in Python; see `Session`.

    :param context: the context of llama.cpp.
    """

    name = ""

    def __init__(self, context: Context) -> None:
        self.in_use = False
        self._context = context
        #: False while a call changes memory, and after a call that did not finish.
        self._consistent = True
        #: The start of the last isolated query, if memory holds just what is left of that query.
        self._isolated_start: tuple[int, ...] | None = None
        self._rows: LogitsCache[NDArray[np.float32]] = LogitsCache(np.copy)

    @property
    @abstractmethod
    def active_sequences(self) -> int:
        """See `Session.active_sequences`."""

    @abstractmethod
    def sequence_lengths(self) -> list[int]:
        """See `Session.sequence_lengths`."""

    @abstractmethod
    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """Pass the logits of each node that needs a row to `sink`, and count the evaluated nodes.

        :raises EngineError: if llama.cpp fails. The cache is then empty, and the next call works.
        """

    @abstractmethod
    def start(self, tokens: Sequence[int], count: int, handles: list[int]) -> Rows:
        """See `Session.start`."""

    @abstractmethod
    def finish(self, handles: Sequence[int], texts: Sequence[Sequence[int]]) -> None:
        """See `Session.finish`."""

    @abstractmethod
    def max_parallel(self, fitting: int) -> int:
        """See `Session.max_parallel`."""

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """See `Session.score_trees`."""
        collector = NumpyScoreCollector(queries)
        self._rows.answer(collector, self.evaluate)
        return collector.scores()

    def score_isolated(self, query: TreeQuery) -> TreeScores:
        """See `Session.score_isolated`."""
        start = start_tokens(query)
        evaluated = 0
        if self._isolated_start != start:
            self._reset()
            if start:
                self._logits_after(start)
                evaluated = len(start)
        # Without the cached rows: one row less changes the shape of the batch.
        collector = NumpyScoreCollector([query])
        self.evaluate(collector.forest, collector.add)
        if self._keep_only(start):
            self._isolated_start = start
        (scores,) = collector.scores()
        return replace(scores, tokens_evaluated=scores.tokens_evaluated + evaluated)

    def row(self, tokens: Sequence[int]) -> Rows:
        """See `Session.row`."""
        return log_softmax(self._logits_after(tokens))

    def step(self, handles: Sequence[int], tokens: Sequence[int]) -> Rows:
        """See `Session.step`."""
        self._recover()
        self._consistent = False
        lengths = [length for handle in handles if (length := self._length_of(handle)) is not None]
        count = len(handles)
        if len(lengths) < count:
            raise EngineError(
                "another call on the model has ended this completion",
                hint="in on_text, make no calls that fail or need more memory than is free",
            )
        self._make_step_room(count)
        sequences = np.arange(count, dtype=np.int32)
        try:
            rows = self._context.decode(
                np.array(tokens, dtype=np.int32),
                np.array(lengths, dtype=np.int32),
                np.array(handles, dtype=np.int32),
                sequences,
                sequences + 1,
                np.ones(count, dtype=bool),
            )
        except NoSlotError as error:
            raise full_context_error() from error
        self._record_step(handles, tokens)
        self._consistent = True
        return rows

    def clear(self) -> None:
        """See `Session.clear`."""
        self._rows.clear()
        self._reset()

    @abstractmethod
    def _length_of(self, handle: int) -> int | None:
        """Return the number of tokens of a held sequence; None if it is not held."""

    @abstractmethod
    def _make_step_room(self, count: int) -> None:
        """Free cells for one token on each of `count` held sequences."""

    @abstractmethod
    def _record_step(self, handles: Sequence[int], tokens: Sequence[int]) -> None:
        """Record that each held sequence has one more token."""

    @abstractmethod
    def _reset(self) -> None:
        """Remove everything from memory."""

    @abstractmethod
    def _keep_only(self, tokens: Sequence[int]) -> bool:
        """Remove everything but these tokens from memory; return whether it has all of them."""

    def _recover(self, *, finishing: bool = False) -> None:
        """Clear memory if the previous call was interrupted: its state is then unknown.

        Every call that changes memory begins with this.
        """
        self._isolated_start = None
        if not self._consistent or (self.active_sequences and not self.in_use and not finishing):
            self._reset()

    def _logits_after(self, tokens: Sequence[int]) -> Rows:
        """Return the logits (V,) after a sequence."""
        rows: list[Rows] = []
        forest = PrefixForest(1)
        forest.needs_row[forest.add_path(tokens, 0)] = True
        self.evaluate(forest, lambda _, logits: rows.append(logits[0].copy()))
        return rows[0]
