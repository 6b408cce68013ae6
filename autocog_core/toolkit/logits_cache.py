"""Distributions kept for a while: what was just asked after a sequence is often asked again.

A completion that ends with a stop has seen what follows its text, and a choice after it begins with
the same distribution. The keys and values of these tokens are kept by engines, their logits are
not: without these rows, the last token would be evaluated a second time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from autocog_core.toolkit.prefix_forest import PrefixForest

Row = TypeVar("Row")

#: Rows kept: as many as beams and samples mostly are. A row has 4 bytes for each token there is.
MAX_ROWS = 32


class ScoreCollector(Protocol):
    """What is asked of one forest, and takes the logits that answer it.

    :ivar roots: nodes after which a query's tree begins, with all tokens up to them.
    """

    forest: PrefixForest
    roots: dict[int, tuple[int, ...]]

    def add(self, nodes: Sequence[int], logits: Any) -> None:
        """Take the logits (r, V) after r of the forest's nodes."""


class LogitsCache(Generic[Row]):
    """The logits (V,) after the sequences that queries began with last.

    :param copy: makes a row its own, for engines write the next one to the same place.
    """

    def __init__(self, copy: Callable[[Row], Row]) -> None:
        self._copy = copy
        self._rows: OrderedDict[tuple[int, ...], Row] = OrderedDict()

    def answer(
        self,
        answers: ScoreCollector,
        evaluate: Callable[[PrefixForest, Callable[[Sequence[int], Any], None]], None],
    ) -> None:
        """Answer what is known, and let an engine evaluate the rest."""
        forest, roots = answers.forest, answers.roots
        for node, tokens in roots.items():
            row: Any = self._rows.get(tokens)
            if row is not None and forest.needs_row[node]:
                self._rows.move_to_end(tokens)
                forest.needs_row[node] = False
                answers.add([node], row[None])

        def take(nodes: Sequence[int], logits: Any) -> None:
            for place, node in enumerate(nodes):
                if node in roots:
                    self._store(roots[node], logits[place])
            answers.add(nodes, logits)

        if any(forest.needs_row):
            evaluate(forest, take)

    def clear(self) -> None:
        """Drop all rows."""
        self._rows.clear()

    def _store(self, tokens: tuple[int, ...], row: Row) -> None:
        self._rows[tokens] = self._copy(row)
        self._rows.move_to_end(tokens)
        while len(self._rows) > MAX_ROWS:
            self._rows.popitem(last=False)
