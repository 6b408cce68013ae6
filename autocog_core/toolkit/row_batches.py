"""Tree queries as batches of rows of tokens, for engines that take batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from autocog_core.errors import ContractError
from autocog_core.toolkit.kept_prefixes import NOTHING, rows_after_prefixes, rows_from_scratch
from autocog_core.toolkit.row_groups import BatchLimits, group_into_trees, group_rows
from autocog_core.toolkit.rows import Row, RowBatch
from autocog_core.toolkit.tree_answers import NumpyScoreCollector
from autocog_core.types.token_tree import TreeQuery, TreeScores


class RowBatches:
    """The rows that an engine evaluates to answer tree queries, in batches.

    Iterate over the batches once, pass the logits of each row to `take`, and return `scores()`:

    - Default: rows from scratch, each a whole text.
    - `keep_prefix`: rows that continue `batch.prefix`, whose state (such as keys and values) the
      engine computes first and gives to each row. The prefixes come in an order in which one shares
      much with the next.
    - `as_tree`: one row a batch, with several texts that share tokens. `row.mask()` and
      `row.depths()` are for the engine's attention.

    :param queries: the queries of `greedy_tree_impl`.
    :param vocabulary_size: V, the width of the engine's logits.
    :param max_tokens: largest number of tokens in a batch, with padding, and with a copy of the
        prefix for each row. Trees have no copies: there the prefix does not count.
    :param max_logits_bytes: largest size of the logits of a batch, in float32.
    :param padding: whether rows of a batch may have different lengths.
    :param reads_all: whether the engine computes the logits after all tokens of a batch, padding
        included, or only those at `row.positions`.
    :param keep_prefix: see above.
    :param as_tree: see above.
    :raises ContractError: if a limit is less than 1.

    A row that exceeds a limit is alone in its batch.
    """

    def __init__(
        self,
        queries: Sequence[TreeQuery],
        *,
        vocabulary_size: int,
        max_tokens: int = 8192,
        max_logits_bytes: int = 1 << 28,
        padding: bool = True,
        reads_all: bool = True,
        keep_prefix: bool = False,
        as_tree: bool = False,
    ) -> None:
        for name, value in [
            ("vocabulary_size", vocabulary_size),
            ("max_tokens", max_tokens),
            ("max_logits_bytes", max_logits_bytes),
        ]:
            if value < 1:
                raise ContractError(f"{name} is {value}", where="RowBatches", hint="1 or more")
        self._limits = BatchLimits(
            vocabulary_size=vocabulary_size,
            max_tokens=max_tokens,
            max_logits_bytes=max_logits_bytes,
            padding=padding,
            reads_all=reads_all,
        )
        self._collector = NumpyScoreCollector(queries)
        self._forest = self._collector.forest
        self._ends = (
            rows_after_prefixes(self._forest, self._collector.roots)
            if keep_prefix
            else rows_from_scratch(self._forest)
        )
        #: Nodes whose position is in a row already.
        self._is_read = [not needed for needed in self._forest.needs_row]
        self._row_count = 0
        self._open: dict[int, tuple[Row, RowBatch]] = {}
        self._batches = self._make_batches(as_tree)

    def __iter__(self) -> Iterator[RowBatch]:
        """Return the batches that did not come yet."""
        return self._batches

    def take(self, row: Row, logits: Any) -> None:
        """Receive the logits at `row.positions`.

        :param logits: an array (len(row.positions), V) of logits or log-probabilities.
        :raises ContractError: if the shape is wrong, or the row was answered before.
        """
        expected, batch = self._open.get(row.index, (None, None))
        if expected is not row or batch is None:
            is_known = expected is None and row.index < self._row_count
            reason = "was answered before" if is_known else "is not of these batches"
            raise ContractError(f"{row} {reason}", where="RowBatches.take")
        array = np.asarray(logits)
        size = self._limits.vocabulary_size
        if array.shape != (len(row.positions), size):
            raise ContractError(
                f"{row} got logits of the shape {array.shape}, not ({len(row.positions)}, {size})",
                where="RowBatches.take",
                hint="pass one line of the vocabulary's size for each of `row.positions`",
            )
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float32)
        del self._open[row.index]
        self._collector.add([row.nodes[position] for position in row.positions], array)
        self._forest.count_evaluated(row.nodes)
        if not batch.is_counted:
            batch.is_counted = True
            prefix = self._forest.path_to(self._forest.parents[row.nodes[0]])
            self._forest.count_evaluated(prefix[batch.tokens_reused :])

    def scores(self) -> list[TreeScores]:
        """Return the scores of each query.

        :raises ContractError: if rows were not answered, or batches did not come yet.
        """
        if self._open:
            row, _ = next(iter(self._open.values()))
            raise ContractError(
                f"{len(self._open)} of {self._row_count} rows were not answered: first {row}",
                where="RowBatches.scores",
                hint="pass the logits of every row to `take`",
            )
        row_count = self._row_count
        if next(self._batches, None) is not None:
            raise ContractError(
                f"not all batches were evaluated, only the first {row_count} rows",
                where="RowBatches.scores",
                hint="evaluate every batch of the iteration",
            )
        return self._collector.scores()

    def _make_batches(self, as_tree: bool) -> Iterator[RowBatch]:
        """Make the batches one after another; nodes in an order in which neighbors share most."""
        rank = {node: index for index, node in enumerate((NOTHING, *self._forest.depth_first()))}
        for home in sorted(self._ends, key=rank.__getitem__):
            prefix = self._forest.sequence(home)
            paths = [
                self._path(home, end) for end in sorted(self._ends[home], key=rank.__getitem__)
            ]
            groups: Iterator[list[list[int]]]
            if as_tree:
                trees = group_into_trees(paths, self._limits, self._count_unread)
                groups = ([nodes] for nodes in trees)
            else:
                groups = group_rows(paths, len(prefix), self._limits, self._count_unread)
            for group in groups:
                rows = [self._make_row(prefix, nodes) for nodes in group]
                batch = RowBatch(prefix=prefix, rows=rows)
                self._open |= {row.index: (row, batch) for row in rows}
                yield batch

    def _count_unread(self, nodes: list[int]) -> int:
        return sum(not self._is_read[node] for node in nodes)

    def _path(self, home: int, end: int) -> list[int]:
        """Return the nodes after `home`, up to and with `end`."""
        path = []
        while end != home:
            path.append(end)
            end = self._forest.parents[end]
        return path[::-1]

    def _make_row(self, prefix: list[int], nodes: list[int]) -> Row:
        forest = self._forest
        place = {node: index for index, node in enumerate(nodes)}
        positions = [index for index, node in enumerate(nodes) if not self._is_read[node]]
        for index in positions:
            self._is_read[nodes[index]] = True
        row = Row(
            index=self._row_count,
            prefix=prefix,
            tokens=[forest.tokens[node] for node in nodes],
            positions=positions,
            parents=[place.get(forest.parents[node], -1) for node in nodes],
            nodes=nodes,
        )
        self._row_count += 1
        return row
