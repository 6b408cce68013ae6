"""Token trees by sets of sequences: one decode evaluates a whole tree, and its cells are cached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from autocog_core import EngineError
from autocog_core.toolkit import PrefixForest
from autocog_llamacpp.llama.cell_tree import Cell, CellTree
from autocog_llamacpp.llama.context import Context, NoSlotError, full_context_error
from autocog_llamacpp.llama.decode_plan import DecodePlan, make_plan
from autocog_llamacpp.llama.python_session import PythonSession, Sink
from autocog_llamacpp.llama.session import Rows
from autocog_llamacpp.llama.split_forest import split_forest


class AttentionSession(PythonSession):
    """A session for models with attention, whose sequences can share cells.

    Cells stay cached until other tokens need the space. Every call continues the longest cached
    prefix.
    """

    name = "one decode, by sequence sets"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._tree = CellTree(context.sequences)
        #: Sequences that a completion holds, and the number of their cells that the tree lacks.
        self._held: dict[int, int] = {}

    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """See `PythonSession.evaluate`."""
        self._recover()
        if self._free_sequences() < 1:
            raise EngineError(
                "the running completion holds all sequences",
                hint="give a larger n_seq_max, or call the model when it has ended",
            )
        self._consistent = False
        self._tree.advance_clock()
        read: set[int] = set()
        try:
            try:
                self._evaluate_parts(forest, sink, read)
            except NoSlotError:
                # llama.cpp has fewer free cells than our bookkeeping: retry with an empty cache.
                self._free_inactive()
                self._evaluate_parts(forest, sink, read)
        except NoSlotError as error:
            raise full_context_error() from error
        self._consistent = True

    def start(self, tokens: Sequence[int], count: int, handles: list[int]) -> Rows:
        """See `Session.start`."""
        self._recover()
        if self._held:
            raise EngineError("the model is already completing a text", hint="wait until it ends")
        self.in_use = True
        row = self._logits_after(tokens)
        self._consistent = False
        cell = self._find(tokens)
        first = self._tree.any_sequence_through(cell)
        handles.append(first)
        self._held[first] = 0
        for _ in range(count - 1):
            handle = self._new_sequence(set(handles))
            assert handle is not None
            self._context.copy(first, handle, cell.length)
            self._tree.move(handle, cell)
            handles.append(handle)
            self._held[handle] = 0
        self._consistent = True
        return row

    def finish(self, handles: Sequence[int], texts: Sequence[Sequence[int]]) -> None:
        """See `Session.finish`."""
        self._recover(finishing=True)
        self._consistent = False
        for handle, text in zip(handles, texts, strict=False):
            evaluated = self._held.pop(handle, None)
            if evaluated is not None:
                self._cache_text(handle, text[:evaluated])
        self._consistent = True

    @property
    def active_sequences(self) -> int:
        """See `Session.active_sequences`."""
        return len(self._held)

    def sequence_lengths(self) -> list[int]:
        """See `Session.sequence_lengths`."""
        lengths = [0] * self._context.sequences
        for sequence in self._tree.sequences():
            lengths[sequence] = self._tree.end(sequence).length + self._held.get(sequence, 0)
        return lengths

    def max_parallel(self, fitting: int) -> int:
        """See `Session.max_parallel`."""
        return max(1, min(self._context.sequences, self._context.rows, fitting))

    def _length_of(self, handle: int) -> int | None:
        appended = self._held.get(handle)
        return None if appended is None else self._tree.end(handle).length + appended

    def _make_step_room(self, count: int) -> None:
        self._make_room(count, self._held)

    def _record_step(self, handles: Sequence[int], tokens: Sequence[int]) -> None:
        for handle in handles:
            self._held[handle] += 1

    def _reset(self) -> None:
        self._consistent = False
        self._isolated_start = None
        self._tree = CellTree(self._context.sequences)
        self._held = {}
        self._context.clear()
        self._consistent = True

    def _keep_only(self, tokens: Sequence[int]) -> bool:
        cell: Cell | None = self._tree.root
        for token in tokens:
            cell = cell.children.get(token) if cell else None
        if cell is None:
            return False
        self._consistent = False
        kept = self._tree.any_sequence_through(cell) if tokens else None
        for sequence in self._tree.sequences():
            if sequence != kept:
                self._free(sequence)
        if kept is not None:
            self._context.truncate(kept, cell.length)
            self._tree.move(kept, cell)
        self._consistent = True
        return kept is None or self._context.is_whole(kept)

    def _cache_text(self, handle: int, text: Sequence[int]) -> None:
        """Keep the text of a sequence that is no longer held, unless it is cached already."""
        cell = self._tree.end(handle)
        if len(cell.ends) > 1 and (not text or text[0] in cell.children):
            # Another sequence holds the same cells.
            self._free(handle)
        elif text and text[0] in cell.children:
            self._context.truncate(handle, cell.length)
        else:
            for token in text:
                cell = self._tree.append_cell(cell, token)
            self._tree.move(handle, cell)

    def _free_inactive(self) -> None:
        """Free all sequences that no completion holds."""
        for sequence in self._tree.sequences():
            if sequence not in self._held:
                self._free(sequence)

    def _find(self, tokens: Sequence[int]) -> Cell:
        cell = self._tree.root
        for token in tokens:
            cell = cell.children[token]
        return cell

    def _evaluate_parts(self, forest: PrefixForest, sink: Sink, read: set[int]) -> None:
        for nodes in split_forest(forest, self._free_sequences(), self._context.cells):
            unread = {node for node in nodes if forest.needs_row[node]} - read
            if not unread:
                continue
            plan, ignores_cached = self._make_usable_plan(forest, nodes, unread)
            if len(plan.starts) > self._free_sequences():
                # The logits of many cached nodes are needed. From an empty memory, each path needs
                # only one sequence.
                self._free_inactive()
                plan, ignores_cached = make_plan(forest, nodes, unread, _empty_root()), True
            self._evaluate_part(forest, plan, unread, sink, ignores_cached)
            read |= unread

    def _free_sequences(self) -> int:
        return self._context.sequences - len(self._held)

    def _make_usable_plan(
        self, forest: PrefixForest, nodes: Sequence[int], unread: set[int]
    ) -> tuple[DecodePlan, bool]:
        """Return a plan that continues only whole sequences, and whether it ignores the cache."""
        while True:
            plan = make_plan(forest, nodes, unread, self._tree.root)
            sources = {
                self._tree.any_sequence_through(start) for start in set(plan.starts) if start.length
            }
            broken = [source for source in sources if not self._context.is_whole(source)]
            if not broken:
                return plan, False
            if any(source in self._held for source in broken):
                # A completion holds it: it can be neither freed nor continued.
                return make_plan(forest, nodes, unread, _empty_root()), True
            for source in broken:
                self._free(source)

    def _evaluate_part(
        self,
        forest: PrefixForest,
        plan: DecodePlan,
        unread: set[int],
        sink: Sink,
        ignores_cached: bool,
    ) -> None:
        sequences = self._assign_sequences(plan)
        duplicated = self._free_duplicates(plan, sequences) or ignores_cached
        self._make_room(len(plan.nodes), {*sequences, *self._held})
        self._decode(forest, plan, sequences, unread, sink)
        forest.count_evaluated(plan.nodes)
        self._commit(forest, plan, sequences, duplicated)

    def _assign_sequences(self, plan: DecodePlan) -> list[int]:
        """Return a sequence id for each sequence of the plan, with the cells that it continues."""
        source_of = {
            start: self._tree.any_sequence_through(start) if start.length else None
            for start in set(plan.starts)
        }
        sources = [source_of[start] for start in plan.starts]
        #: How many of the plan's sequences have yet to continue a sequence.
        waiting = Counter(sources)
        sequences: list[int] = []
        for start, source in zip(plan.starts, sources, strict=True):
            waiting[source] -= 1
            later = {waiter for waiter, count in waiting.items() if count and waiter is not None}
            sequence = self._continue(source, start, {*sequences, *self._held, *later})
            if sequence is None:
                raise EngineError("all sequences are in use", hint="give a larger n_seq_max")
            self._tree.move(sequence, start)
            sequences.append(sequence)
        return sequences

    def _continue(self, source: int | None, start: Cell, keep: set[int]) -> int | None:
        """Return a sequence with the cells up to `start`, which `source` has; None if none is free.

        :param keep: sequences that must not change.
        """
        if source is None:
            return self._new_sequence(keep)
        if source not in keep and self._tree.end(source) is start:
            return source
        sequence = self._new_sequence({*keep, source})
        if sequence is not None:
            self._context.copy(source, sequence, start.length)
            return sequence
        if source in keep:
            return None
        self._context.truncate(source, start.length)
        return source

    def _free_duplicates(self, plan: DecodePlan, sequences: Sequence[int]) -> bool:
        """Free the cells of nodes that are decoded again.

        :returns: whether needed sequences have some of them: memory then holds these tokens twice.
        """
        duplicated = False
        needed = {*sequences, *self._held}
        for cell in plan.already_cached.values():
            for sequence in list(cell.sequences_through()):
                if sequence in needed:
                    duplicated = True
                else:
                    self._free(sequence)
        return duplicated

    def _decode(
        self,
        forest: PrefixForest,
        plan: DecodePlan,
        sequences: Sequence[int],
        unread: set[int],
        sink: Sink,
    ) -> None:
        context = self._context
        nodes = plan.nodes
        tokens = np.array([forest.tokens[node] for node in nodes], dtype=np.int32)
        positions = np.zeros(len(nodes), dtype=np.int32)
        depths: dict[int, int] = {}
        for index, node in enumerate(nodes):
            parent_depth = depths.get(forest.parents[node])
            if parent_depth is None:
                parent_depth = plan.starts[plan.first[index]].length - 1
            positions[index] = depths[node] = parent_depth + 1
        needs_logits = np.array([node in unread for node in nodes], dtype=bool)
        ids = np.array(sequences, dtype=np.int32)
        begin = 0
        while begin < len(nodes):
            end = begin + context.next_batch_size(needs_logits[begin:])
            part = slice(begin, end)
            logits = context.decode(
                tokens[part],
                positions[part],
                ids,
                plan.first[part],
                plan.last[part],
                needs_logits[part],
            )
            if len(logits):
                sink([nodes[index] for index in begin + np.flatnonzero(needs_logits[part])], logits)
            begin = end

    def _commit(
        self, forest: PrefixForest, plan: DecodePlan, sequences: Sequence[int], duplicated: bool
    ) -> None:
        """Add the decoded cells to the tree."""
        if duplicated:
            # The tree can hold only one cell for a token.
            for sequence in sequences:
                self._free(sequence)
            return
        cells: dict[int, Cell] = {}
        for index, node in enumerate(plan.nodes):
            parent_cell = cells.get(forest.parents[node], plan.starts[plan.first[index]])
            cells[node] = self._tree.append_cell(parent_cell, forest.tokens[node])
        for sequence, index in zip(sequences, plan.ends, strict=True):
            self._tree.move(sequence, cells[plan.nodes[index]])
        for index in plan.fork_nodes():
            self._keep_shared_prefix(cells[plan.nodes[index]], sequences)

    def _keep_shared_prefix(self, cell: Cell, sequences: Sequence[int]) -> None:
        """Give the common prefix of sequences its own sequence: later calls may reuse it."""
        if cell.ends:
            return
        prefix = self._new_sequence({*sequences, *self._held})
        if prefix is not None:
            self._context.copy(self._tree.any_sequence_through(cell), prefix, cell.length)
            self._tree.move(prefix, cell, shared_prefix=True)

    def _new_sequence(self, keep: set[int]) -> int | None:
        """Return a free sequence, after an eviction if necessary; None if all are in `keep`."""
        sequence = self._tree.allocate()
        if sequence is None:
            evicted = self._tree.least_recently_used(keep)
            if evicted is None:
                return None
            self._free(evicted)
            sequence = self._tree.allocate()
        return sequence

    def _make_room(self, count: int, keep: set[int] | dict[int, int]) -> None:
        """Evict sequences outside of `keep` until `count` cells are free, or none is left."""
        used = self._tree.used + sum(self._held.values())
        while used + count > self._context.cells:
            evicted = self._tree.least_recently_used(keep)
            if evicted is None:
                return
            before = self._tree.used
            self._free(evicted)
            used -= before - self._tree.used

    def _free(self, sequence: int) -> None:
        assert sequence not in self._held
        self._context.remove(sequence)
        self._tree.free(sequence)


def _empty_root() -> Cell:
    return Cell(-1, None, 0)
