"""Token trees by sequence sets: one decode for a whole tree, and what was seen stays in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from autocog_core import EngineError
from autocog_core.toolkit import PrefixForest
from autocog_llamacpp.llama.cell_tree import Cell, CellTree
from autocog_llamacpp.llama.context import Context, NoSlotError, no_room
from autocog_llamacpp.llama.decode_plan import Plan, make_plan
from autocog_llamacpp.llama.python_session import PythonSession, Sink
from autocog_llamacpp.llama.session import Rows
from autocog_llamacpp.llama.split_forest import portions


class TreeEvaluator(PythonSession):
    """Evaluates forests on models with attention, whose memory may be shared token by token.

    What calls have seen stays in memory until others need the room: the longest common prefix is
    never evaluated again.
    """

    name = "one decode, by sequence sets"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._tree = CellTree(context.sequences)
        #: Sequences that a generation holds, and cells that it has taken beyond the tree's.
        self._held: dict[int, int] = {}

    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """Pass every wanted node with its logits to `sink`, and count what was evaluated.

        :raises EngineError: if llama.cpp fails; nothing is kept then, and the next call works.
        """
        self._settle()
        if self._free_sequences() < 1:
            raise EngineError(
                "all sequences are held by the completion that is running",
                hint="give a larger n_seq_max, or call the model when it has ended",
            )
        self._sure = False
        self._tree.next_call()
        read: set[int] = set()
        try:
            try:
                self._rounds(forest, sink, read)
            except NoSlotError:
                # Our account of the cells and llama.cpp's differ: with fewer to hold, once more.
                self._drop_others()
                self._rounds(forest, sink, read)
        except NoSlotError as error:
            raise no_room() from error
        self._sure = True

    def open(self, tokens: Sequence[int], count: int, handles: list[int]) -> Rows:
        """Hold `count` sequences that begin with `tokens`; the logits (V,) after them.

        :param handles: where the sequences are entered, one by one.
        :raises EngineError: if others are held: a completion inside a completion's callback.
        """
        self._settle()
        if self._held:
            raise EngineError("the model is completing a text already", hint="let it end first")
        self.lent = True
        row = self._logits_after(tokens)
        self._sure = False
        cell = self._find(tokens)
        first = self._tree.through(cell)
        handles.append(first)
        self._held[first] = 0
        for _ in range(count - 1):
            handle = self._new_sequence(set(handles))
            assert handle is not None
            self._context.copy(first, handle, cell.length)
            self._tree.move(handle, cell)
            handles.append(handle)
            self._held[handle] = 0
        self._sure = True
        return row

    def release(self, handles: Sequence[int], texts: Sequence[Sequence[int]]) -> None:
        """Let go of sequences that were continued with `texts`; later calls may go on from them."""
        self._settle(releasing=True)
        self._sure = False
        for handle, tokens in zip(handles, texts, strict=False):
            evaluated = self._held.pop(handle, None)
            if evaluated is not None:
                self._let_go(handle, tokens[:evaluated])
        self._sure = True

    @property
    def held(self) -> int:
        """How many sequences completions hold."""
        return len(self._held)

    def lengths(self) -> list[int]:
        """How many tokens each sequence is believed to have in memory."""
        found = [0] * self._context.sequences
        for sequence in self._tree.sequences():
            found[sequence] = self._tree.end(sequence).length + self._held.get(sequence, 0)
        return found

    def together(self, fitting: int) -> int:
        """How many sequences may be held at once, if the cells hold `fitting`."""
        return max(1, min(self._context.sequences, self._context.rows, fitting))

    def _length_of(self, handle: int) -> int | None:
        more = self._held.get(handle)
        return None if more is None else self._tree.end(handle).length + more

    def _prepare_step(self, count: int) -> None:
        self._make_room(count, self._held)

    def _take_step(self, handles: Sequence[int], tokens: Sequence[int]) -> None:
        for handle in handles:
            self._held[handle] += 1

    def _reset(self) -> None:
        self._sure = False
        self._tree = CellTree(self._context.sequences)
        self._held = {}
        self._context.clear()
        self._sure = True

    def _let_go(self, handle: int, path: Sequence[int]) -> None:
        cell = self._tree.end(handle)
        if len(cell.ends) > 1 and (not path or path[0] in cell.children):
            # Another sequence holds as much.
            self._drop(handle)
        elif path and path[0] in cell.children:
            self._context.cut(handle, cell.length)
        else:
            for token in path:
                cell = self._tree.grow(cell, token)
            self._tree.move(handle, cell)

    def _drop_others(self) -> None:
        """Drop everything but what a completion holds."""
        for sequence in self._tree.sequences():
            if sequence not in self._held:
                self._drop(sequence)

    def _find(self, tokens: Sequence[int]) -> Cell:
        cell = self._tree.root
        for token in tokens:
            cell = cell.children[token]
        return cell

    def _rounds(self, forest: PrefixForest, sink: Sink, read: set[int]) -> None:
        for nodes in portions(forest, self._free_sequences(), self._context.cells):
            unread = {node for node in nodes if forest.needs_row[node]} - read
            if not unread:
                continue
            plan, apart = self._usable_plan(forest, nodes, unread)
            if len(plan.starts) > self._free_sequences():
                # Many nodes in memory are asked for: decoded from nothing, a path is one strand.
                self._drop_others()
                plan, apart = make_plan(forest, nodes, unread, Cell(-1, None, 0)), True
            self._round(forest, plan, unread, sink, apart)
            read |= unread

    def _free_sequences(self) -> int:
        return self._context.sequences - len(self._held)

    def _usable_plan(
        self, forest: PrefixForest, nodes: Sequence[int], unread: set[int]
    ) -> tuple[Plan, bool]:
        """A plan, and whether it leaves apart what is in memory."""
        while True:
            plan = make_plan(forest, nodes, unread, self._tree.root)
            sources = {self._tree.through(start) for start in set(plan.starts) if start.length}
            broken = [source for source in sources if not self._context.is_whole(source)]
            if not broken:
                return plan, False
            if any(source in self._held for source in broken):
                # What a completion holds must stay, and cannot be gone on from.
                return make_plan(forest, nodes, unread, Cell(-1, None, 0)), True
            for source in broken:
                self._drop(source)

    def _round(
        self, forest: PrefixForest, plan: Plan, unread: set[int], sink: Sink, apart: bool
    ) -> None:
        strands = self._place_strands(plan)
        doubled = self._drop_doubles(plan, strands) or apart
        self._make_room(len(plan.nodes), {*strands, *self._held})
        self._decode(forest, plan, strands, unread, sink)
        forest.count_evaluated(plan.nodes)
        self._commit(forest, plan, strands, doubled)

    def _place_strands(self, plan: Plan) -> list[int]:
        """A sequence for each strand, that holds what the strand continues."""
        through = {
            start: self._tree.through(start) if start.length else None for start in set(plan.starts)
        }
        sources = [through[start] for start in plan.starts]
        waiting = Counter(sources)
        strands: list[int] = []
        for start, source in zip(plan.starts, sources, strict=True):
            waiting[source] -= 1
            later = {each for each, count in waiting.items() if count and each is not None}
            spared = {*strands, *self._held, *later}
            strand: int | None
            if source is None:
                strand = self._new_sequence(spared)
            elif source not in spared and self._tree.end(source) is start:
                # Nobody else needs it as it is: it is continued in place.
                strand = source
            else:
                strand = self._new_sequence({*spared, source})
                if strand is not None:
                    self._context.copy(source, strand, start.length)
                elif source not in spared:
                    # The last that needs it may have it.
                    self._context.cut(source, start.length)
                    strand = source
            if strand is None:
                raise EngineError("all sequences are in use", hint="give a larger n_seq_max")
            self._tree.move(strand, start)
            strands.append(strand)
        return strands

    def _drop_doubles(self, plan: Plan, strands: Sequence[int]) -> bool:
        """Forget cells that are decoded again; True if some must stay, and so are there twice."""
        doubled = False
        kept = {*strands, *self._held}
        for cell in plan.known.values():
            for sequence in list(cell.below()):
                if sequence in kept:
                    doubled = True
                else:
                    self._drop(sequence)
        return doubled

    def _decode(
        self,
        forest: PrefixForest,
        plan: Plan,
        strands: Sequence[int],
        unread: set[int],
        sink: Sink,
    ) -> None:
        context = self._context
        nodes = plan.nodes
        tokens = np.array([forest.tokens[node] for node in nodes], dtype=np.int32)
        positions = np.zeros(len(nodes), dtype=np.int32)
        depths: dict[int, int] = {}
        for place, node in enumerate(nodes):
            above = depths.get(forest.parents[node])
            if above is None:
                above = plan.starts[plan.first[place]].length - 1
            positions[place] = depths[node] = above + 1
        wanted = np.array([node in unread for node in nodes], dtype=bool)
        ids = np.array(strands, dtype=np.int32)
        begin = 0
        while begin < len(nodes):
            end = begin + context.fitting(wanted[begin:])
            part = slice(begin, end)
            logits = context.decode(
                tokens[part], positions[part], ids, plan.first[part], plan.last[part], wanted[part]
            )
            if len(logits):
                sink([nodes[place] for place in begin + np.flatnonzero(wanted[part])], logits)
            begin = end

    def _commit(
        self, forest: PrefixForest, plan: Plan, strands: Sequence[int], doubled: bool
    ) -> None:
        """Enter into the tree what memory now holds."""
        if doubled:
            # Their cells are also there a second time; the tree has a place for one.
            for strand in strands:
                self._drop(strand)
            return
        cells: dict[int, Cell] = {}
        for place, node in enumerate(plan.nodes):
            above = cells.get(forest.parents[node], plan.starts[plan.first[place]])
            cells[node] = self._tree.grow(above, forest.tokens[node])
        for strand, place in zip(strands, plan.ends, strict=True):
            self._tree.move(strand, cells[plan.nodes[place]])
        for place in plan.forks():
            self._keep_trunk(cells[plan.nodes[place]], strands)

    def _keep_trunk(self, cell: Cell, strands: Sequence[int]) -> None:
        """Hold what several strands have begun with beyond their own lives: it may come again."""
        if cell.ends:
            return
        trunk = self._new_sequence({*strands, *self._held})
        if trunk is not None:
            self._context.copy(self._tree.through(cell), trunk, cell.length)
            self._tree.move(trunk, cell, trunk=True)

    def _new_sequence(self, spared: set[int]) -> int | None:
        """A free sequence, if need be that which is missed least; None if all are `spared`."""
        free = self._tree.take()
        if free is None:
            oldest = self._tree.oldest(spared)
            if oldest is None:
                return None
            self._drop(oldest)
            free = self._tree.take()
        return free

    def _make_room(self, count: int, spared: set[int] | dict[int, int]) -> None:
        """Free cells for `count` tokens, if there are any that nobody needs now."""
        taken = self._tree.used + sum(self._held.values())
        while taken + count > self._context.cells:
            oldest = self._tree.oldest(spared)
            if oldest is None:
                return
            before = self._tree.used
            self._drop(oldest)
            taken -= before - self._tree.used

    def _drop(self, sequence: int) -> None:
        assert sequence not in self._held
        self._context.remove(sequence)
        self._tree.drop(sequence)
