"""A small cache of logits, for calls that begin where an earlier call ended.

A completion that ends with a stop string has evaluated the tokens after its text, and a choice that
follows begins with the same distribution. Engines keep the keys and values of these tokens but not
their logits: without this cache, the last token would be evaluated again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from autocog_core.toolkit.prefix_forest import PrefixForest

Row = TypeVar("Row")

#: Rows in the cache: usual numbers of beams and samples fit. A row has 4 bytes a vocabulary entry.
MAX_ROWS = 32


class ScoreCollector(Protocol):
    """A forest to evaluate, and a receiver of its logits; see `TreeScoreCollector`.

    :ivar forest: the nodes to evaluate.
    :ivar roots: nodes after which a query's tree begins, each with all tokens up to it.
    """

    forest: PrefixForest
    roots: dict[int, tuple[int, ...]]

    def add(self, nodes: Sequence[int], logits: Any) -> None:
        """Receive the logits (r, V) after r of the forest's nodes."""


class LogitsCache(Generic[Row]):
    """The logits (V,) after the sequences with which the latest queries began.

    :param copy: copies a row, because engines overwrite theirs with the next one.
    :param max_rows: the largest number of rows that it may keep.
    :ivar max_rows: the largest number of rows that it keeps, at most `MAX_ROWS`.
    """

    def __init__(self, copy: Callable[[Row], Row], max_rows: int = MAX_ROWS) -> None:
        self._copy = copy
        self.max_rows = min(max_rows, MAX_ROWS)
        self._rows: OrderedDict[tuple[int, ...], Row] = OrderedDict()

    def answer(
        self,
        collector: ScoreCollector,
        evaluate: Callable[[PrefixForest, Callable[[Sequence[int], Any], None]], None],
    ) -> None:
        """Give the cached rows to `collector`, and let an engine evaluate the others.

        :param evaluate: evaluates a forest, and passes nodes and their logits to its callback. It
            is not called if the cache has every row.
        """
        forest, roots = collector.forest, collector.roots
        for node, tokens in roots.items():
            row: Any = self._rows.get(tokens)
            if row is not None and forest.needs_row[node]:
                self._rows.move_to_end(tokens)
                forest.needs_row[node] = False
                collector.add([node], row[None])

        def receive(nodes: Sequence[int], logits: Any) -> None:
            for index, node in enumerate(nodes):
                if node in roots:
                    self._store(roots[node], logits[index])
            collector.add(nodes, logits)

        if any(forest.needs_row):
            evaluate(forest, receive)

    def __len__(self) -> int:
        return len(self._rows)

    def clear(self) -> None:
        """Drop all rows."""
        self._rows.clear()

    def _store(self, tokens: tuple[int, ...], row: Row) -> None:
        if self.max_rows == 0:
            return
        self._rows[tokens] = self._copy(row)
        self._rows.move_to_end(tokens)
        while len(self._rows) > self.max_rows:
            self._rows.popitem(last=False)
