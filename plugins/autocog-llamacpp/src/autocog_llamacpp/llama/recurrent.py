"""Recurrent and hybrid models: their memory is a state, which can be copied but not rewound.

Branches are decoded one by one, each from a copy of the state where it forks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocog_core import EngineError
from autocog_core.toolkit import PrefixForest, common_prefix_length
from autocog_llamacpp.llama.context import Context, NoSlotError, no_room
from autocog_llamacpp.llama.python_session import PythonSession, Sink
from autocog_llamacpp.llama.session import Rows


class StateEvaluator(PythonSession):
    """Evaluates forests branch by branch, and keeps states from which later calls go on."""

    name = "branch by branch, from copied states"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._free = list(range(context.sequences))[::-1]
        #: Kept states, by sequence: all tokens that it has seen. That used last is last.
        self._states: dict[int, list[int]] = {}
        #: Sequences in use: strands, forks of the current call, those of a generation.
        self._held: dict[int, list[int]] = {}

    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """Pass every wanted node with its logits to `sink`, and count what was evaluated.

        :raises EngineError: if llama.cpp fails; nothing is kept then, and the next call works.
        """
        self._settle()
        self._sure = False
        try:
            self._branches(forest, sink)
        except NoSlotError as error:
            raise no_room() from error
        self._sure = True

    def open(self, tokens: Sequence[int], count: int, handles: list[int]) -> Rows:
        """Hold `count` sequences that begin with `tokens`; the logits (V,) after them.

        :param handles: where the sequences are entered, one by one.
        """
        self._settle()
        self.lent = True
        row = self._logits_after(tokens)
        self._sure = False
        wanted = list(tokens)
        source = next(each for each, seen in self._states.items() if seen == wanted)
        for _ in range(count):
            handles.append(self._copy(source, wanted))
        self._sure = True
        return row

    def release(self, handles: Sequence[int], texts: Sequence[Sequence[int]]) -> None:
        """Let go of sequences; later calls may continue their states."""
        self._settle(releasing=True)
        self._sure = False
        for handle in handles:
            seen = self._held.pop(handle, None)
            if seen is not None:
                self._states[handle] = seen
        self._sure = True

    @property
    def held(self) -> int:
        """How many sequences completions hold."""
        return len(self._held)

    def lengths(self) -> list[int]:
        """How many tokens each sequence is believed to have in memory."""
        found = [0] * self._context.sequences
        for sequence, seen in (*self._states.items(), *self._held.items()):
            found[sequence] = len(seen)
        return found

    def together(self, fitting: int) -> int:
        """How many sequences may be held at once, if the cells hold `fitting`."""
        return max(1, min(self._context.sequences - 2, self._context.rows, fitting))

    def _length_of(self, handle: int) -> int | None:
        seen = self._held.get(handle)
        return None if seen is None else len(seen)

    def _prepare_step(self, count: int) -> None:
        self._make_room(count)

    def _take_step(self, handles: Sequence[int], tokens: Sequence[int]) -> None:
        for handle, token in zip(handles, tokens, strict=True):
            self._held[handle].append(token)

    def _reset(self) -> None:
        self._sure = False
        self._free = list(range(self._context.sequences))[::-1]
        self._states = {}
        self._held = {}
        self._context.clear()
        self._sure = True

    def _branches(self, forest: PrefixForest, sink: Sink) -> None:
        children = forest.children()
        # Depth first: of what was decoded, only states at forks above are needed again.
        left = [len(below) for below in children]
        forks: dict[int, int] = {}
        unread = {node for node, wanted in enumerate(forest.needs_row) if wanted}
        longest = 0
        ends = [node for node in forest.depth_first() if not children[node]]
        for end in ends:
            path = forest.path_to(end)
            if unread.isdisjoint(path):
                # Its distribution was known already.
                self._leave(forest, forks, left, end)
                continue
            longest = max(longest, len(path))
            tokens = [forest.tokens[node] for node in path]
            self._make_room(longest)
            strand, begin = self._start(forks, path, tokens, unread)
            # Kept for later calls: the state before the first row that this one reads. A state
            # cannot be rewound, and later calls will read there as well.
            first = next((p for p, node in enumerate(path) if node in unread), begin)
            cuts = {first} if first > begin else set()
            cuts |= {p + 1 for p, node in enumerate(path) if p >= begin and left[node] > 1}
            for place in sorted(cuts - {len(path)}):
                self._decode(forest, path, tokens, begin, place, strand, unread, sink)
                begin = place
                if left[path[place - 1]] > 1:
                    self._hold_fork(forks, path[place - 1], strand, tokens[:place])
                else:
                    self._keep(strand, tokens[:place])
            self._decode(forest, path, tokens, begin, len(path), strand, unread, sink)
            if len(ends) == 1:
                self._states[strand] = self._held.pop(strand)
            else:
                self._remove(strand)
            self._leave(forest, forks, left, end)

    def _start(
        self, forks: dict[int, int], path: Sequence[int], tokens: list[int], unread: set[int]
    ) -> tuple[int, int]:
        """A new strand with the longest state that this path may go on from, and its length."""
        # What is still to be read must be decoded.
        limit = next((place for place, node in enumerate(path) if node in unread), len(path))
        best, length = -1, 0
        for place in range(min(limit, len(path) - 1), 0, -1):
            if path[place - 1] in forks:
                best, length = forks[path[place - 1]], place
                break
        for sequence, seen in self._states.items():
            if length < len(seen) <= limit and common_prefix_length(seen, tokens) == len(seen):
                best, length = sequence, len(seen)
        if best in self._states:
            # Used just now: it goes to the end of the line.
            self._states[best] = self._states.pop(best)
        return self._copy(best, tokens[:length]), length

    def _decode(
        self,
        forest: PrefixForest,
        path: Sequence[int],
        tokens: list[int],
        begin: int,
        end: int,
        strand: int,
        unread: set[int],
        sink: Sink,
    ) -> None:
        """Decode path[begin:end] on a strand, and read what is wanted there."""
        context = self._context
        ids = np.array([strand], dtype=np.int32)
        while begin < end:
            nodes = path[begin : min(end, begin + context.batch)]
            wanted = np.array([node in unread for node in nodes], dtype=bool)
            stop = begin + context.fitting(wanted)
            nodes, wanted = nodes[: stop - begin], wanted[: stop - begin]
            count = len(nodes)
            logits = context.decode(
                np.array(tokens[begin:stop], dtype=np.int32),
                np.arange(begin, stop, dtype=np.int32),
                ids,
                np.zeros(count, dtype=np.int32),
                np.ones(count, dtype=np.int32),
                wanted,
            )
            self._held[strand] = tokens[:stop]
            forest.count_evaluated(nodes)
            read = [node for node in nodes if node in unread]
            if read:
                sink(read, logits)
                unread.difference_update(read)
            begin = stop

    def _leave(
        self, forest: PrefixForest, forks: dict[int, int], left: list[int], end: int
    ) -> None:
        """Count down the branches above `end`; a fork without any left is given up."""
        node = forest.parents[end]
        while node >= 0:
            left[node] -= 1
            if left[node] > 0:
                break
            if node in forks:
                sequence = forks.pop(node)
                self._remove(sequence)
            node = forest.parents[node]

    def _hold_fork(self, forks: dict[int, int], node: int, strand: int, tokens: list[int]) -> None:
        # One strand must remain free; without a held state its branches start further up.
        if node not in forks and (self._free or self._states):
            forks[node] = self._copy(strand, tokens)

    def _keep(self, strand: int, tokens: list[int]) -> None:
        known = any(seen == tokens for seen in self._states.values())
        if not known and (self._free or self._states):
            copy = self._copy(strand, tokens)
            self._states[copy] = self._held.pop(copy)

    def _copy(self, source: int, tokens: list[int]) -> int:
        """A held sequence with the state of another (-1: of none)."""
        if not self._free:
            oldest = next((found for found in self._states if found != source), source)
            if oldest == source or oldest < 0:
                return self._take_over(source, tokens)
            self._remove(oldest)
        strand = self._free.pop()
        if source >= 0:
            self._context.copy(source, strand, -1)
        # A list of its own: it grows with the sequence.
        self._held[strand] = list(tokens)
        return strand

    def _take_over(self, source: int, tokens: list[int]) -> int:
        if source not in self._states:
            raise EngineError("all sequences are in use", hint="give a larger n_seq_max")
        self._states.pop(source)
        self._held[source] = list(tokens)
        return source

    def _remove(self, sequence: int) -> None:
        self._context.remove(sequence)
        self._states.pop(sequence, None)
        self._held.pop(sequence, None)
        self._free.append(sequence)

    def _make_room(self, length: int) -> None:
        """Drop kept states until a path of `length` tokens surely has cells (of hybrid models)."""
        held = sum(len(seen) for seen in self._held.values())
        while self._states:
            kept = sum(len(seen) for seen in self._states.values())
            if held + kept + length <= self._context.cells:
                return
            self._remove(next(iter(self._states)))
