"""Recurrent and hybrid models: their memory is a state, which can be copied but not rewound.

Branches are decoded one by one, each from a copy of the state at its fork.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocog_core import EngineError
from autocog_core.toolkit import PrefixForest, common_prefix_length
from autocog_llamacpp.llama.context import Context, NoSlotError, full_context_error
from autocog_llamacpp.llama.python_session import PythonSession, Sink
from autocog_llamacpp.llama.session import Rows


class RecurrentSession(PythonSession):
    """A session for recurrent models. It caches states that later calls can continue."""

    name = "branch by branch, from copied states"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._free = list(range(context.sequences))[::-1]
        #: Cached states: the tokens of each sequence, least recently used first.
        self._states: dict[int, list[int]] = {}
        #: Sequences in use, with their tokens: the current path, its forks, and those of a
        #: completion.
        self._held: dict[int, list[int]] = {}

    def evaluate(self, forest: PrefixForest, sink: Sink) -> None:
        """See `PythonSession.evaluate`."""
        self._recover()
        self._consistent = False
        try:
            self._evaluate_branches(forest, sink)
        except NoSlotError as error:
            raise full_context_error() from error
        self._consistent = True

    def start(self, tokens: Sequence[int], count: int, handles: list[int]) -> Rows:
        """See `Session.start`."""
        self._recover()
        self.in_use = True
        row = self._logits_after(tokens)
        self._consistent = False
        prompt = list(tokens)
        source = next(sequence for sequence, seen in self._states.items() if seen == prompt)
        for _ in range(count):
            handles.append(self._copy(source, prompt))
        self._consistent = True
        return row

    def finish(self, handles: Sequence[int], texts: Sequence[Sequence[int]]) -> None:
        """See `Session.finish`."""
        self._recover(finishing=True)
        self._consistent = False
        for handle in handles:
            if handle in self._held:
                self._keep_state(handle)
        self._consistent = True

    @property
    def active_sequences(self) -> int:
        """See `Session.active_sequences`."""
        return len(self._held)

    def sequence_lengths(self) -> list[int]:
        """See `Session.sequence_lengths`."""
        lengths = [0] * self._context.sequences
        for sequence, tokens in (*self._states.items(), *self._held.items()):
            lengths[sequence] = len(tokens)
        return lengths

    def max_parallel(self, fitting: int) -> int:
        """See `Session.max_parallel`."""
        return max(1, min(self._context.sequences - 2, self._context.rows, fitting))

    def _length_of(self, handle: int) -> int | None:
        tokens = self._held.get(handle)
        return None if tokens is None else len(tokens)

    def _make_step_room(self, count: int) -> None:
        self._make_room(count)

    def _record_step(self, handles: Sequence[int], tokens: Sequence[int]) -> None:
        for handle, token in zip(handles, tokens, strict=True):
            self._held[handle].append(token)

    def _reset(self) -> None:
        self._consistent = False
        self._isolated_start = None
        self._free = list(range(self._context.sequences))[::-1]
        self._states = {}
        self._held = {}
        self._context.clear()
        self._consistent = True

    def _keep_only(self, tokens: Sequence[int]) -> bool:
        self._consistent = False
        kept = list(tokens)
        for sequence, seen in list(self._states.items()):
            if seen != kept:
                self._remove(sequence)
        self._consistent = True
        return len(self._states) == bool(kept)

    def _evaluate_branches(self, forest: PrefixForest, sink: Sink) -> None:
        children = forest.children()
        # Branches below each node that are not decoded yet. In depth-first order, only the states
        # at forks of the current path are needed again.
        branches_left = [len(nodes) for nodes in children]
        forks: dict[int, int] = {}
        unread = {node for node, needs_row in enumerate(forest.needs_row) if needs_row}
        longest = 0
        ends = [node for node in forest.depth_first() if not children[node]]
        for end in ends:
            path = forest.path_to(end)
            if not unread.isdisjoint(path):
                longest = max(longest, len(path))
                self._make_room(longest)
                sequence = self._evaluate_path(forest, path, forks, branches_left, unread, sink)
                if len(ends) == 1:
                    self._keep_state(sequence)
                else:
                    self._remove(sequence)
            self._leave_path(forest, forks, branches_left, end)

    def _evaluate_path(
        self,
        forest: PrefixForest,
        path: Sequence[int],
        forks: dict[int, int],
        branches_left: list[int],
        unread: set[int],
        sink: Sink,
    ) -> int:
        """Decode a path on a new sequence; cache the states that branches or later calls continue.

        :returns: the sequence.
        """
        tokens = [forest.tokens[node] for node in path]
        first_unread = next(index for index, node in enumerate(path) if node in unread)
        sequence, begin = self._start_path(forks, path, tokens, first_unread)
        # A state cannot be rewound: later calls that read the same row need the state before it.
        cuts = {first_unread} if first_unread > begin else set()
        cuts |= {i + 1 for i, node in enumerate(path) if i >= begin and branches_left[node] > 1}
        for cut in sorted(cuts - {len(path)}):
            self._decode(forest, path, tokens, begin, cut, sequence, unread, sink)
            begin = cut
            if branches_left[path[cut - 1]] > 1:
                self._hold_fork(forks, path[cut - 1], sequence, tokens[:cut])
            else:
                self._cache_state(sequence, tokens[:cut])
        self._decode(forest, path, tokens, begin, len(path), sequence, unread, sink)
        return sequence

    def _start_path(
        self, forks: dict[int, int], path: Sequence[int], tokens: list[int], limit: int
    ) -> tuple[int, int]:
        """Return a new sequence with the longest state that the path can continue, and its length.

        :param limit: index of the first node to read, which must be decoded.
        """
        source, length = -1, 0
        for index in range(min(limit, len(path) - 1), 0, -1):
            if path[index - 1] in forks:
                source, length = forks[path[index - 1]], index
                break
        for sequence, seen in self._states.items():
            if length < len(seen) <= limit and common_prefix_length(seen, tokens) == len(seen):
                source, length = sequence, len(seen)
        if source in self._states:
            # Mark it as most recently used.
            self._states[source] = self._states.pop(source)
        return self._copy(source, tokens[:length]), length

    def _decode(
        self,
        forest: PrefixForest,
        path: Sequence[int],
        tokens: list[int],
        begin: int,
        end: int,
        sequence: int,
        unread: set[int],
        sink: Sink,
    ) -> None:
        """Decode path[begin:end] on a sequence, and read the rows that are needed."""
        context = self._context
        ids = np.array([sequence], dtype=np.int32)
        while begin < end:
            nodes = path[begin : min(end, begin + context.batch)]
            needs_logits = np.array([node in unread for node in nodes], dtype=bool)
            stop = begin + context.next_batch_size(needs_logits)
            nodes, needs_logits = nodes[: stop - begin], needs_logits[: stop - begin]
            count = len(nodes)
            logits = context.decode(
                np.array(tokens[begin:stop], dtype=np.int32),
                np.arange(begin, stop, dtype=np.int32),
                ids,
                np.zeros(count, dtype=np.int32),
                np.ones(count, dtype=np.int32),
                needs_logits,
            )
            self._held[sequence] = tokens[:stop]
            forest.count_evaluated(nodes)
            read = [node for node in nodes if node in unread]
            if read:
                sink(read, logits)
                unread.difference_update(read)
            begin = stop

    def _leave_path(
        self, forest: PrefixForest, forks: dict[int, int], branches_left: list[int], end: int
    ) -> None:
        """Count down the branches above `end`; remove the states of forks without more branches."""
        node = forest.parents[end]
        while node >= 0:
            branches_left[node] -= 1
            if branches_left[node] > 0:
                break
            if node in forks:
                self._remove(forks.pop(node))
            node = forest.parents[node]

    def _hold_fork(
        self, forks: dict[int, int], node: int, sequence: int, tokens: list[int]
    ) -> None:
        # One sequence must remain free. Without a state here, branches start further up.
        if node not in forks and (self._free or self._states):
            forks[node] = self._copy(sequence, tokens)

    def _cache_state(self, sequence: int, tokens: list[int]) -> None:
        is_cached = any(seen == tokens for seen in self._states.values())
        if not is_cached and (self._free or self._states):
            self._keep_state(self._copy(sequence, tokens))

    def _keep_state(self, sequence: int) -> None:
        """Turn a held sequence into a cached state."""
        self._states[sequence] = self._held.pop(sequence)

    def _copy(self, source: int, tokens: list[int]) -> int:
        """Return a held sequence with a copy of the state of `source` (-1: empty)."""
        if not self._free:
            oldest = next((sequence for sequence in self._states if sequence != source), None)
            if oldest is None:
                return self._take_over(source, tokens)
            self._remove(oldest)
        sequence = self._free.pop()
        if source >= 0:
            self._context.copy(source, sequence, -1)
        # A new list: it grows with the sequence.
        self._held[sequence] = list(tokens)
        return sequence

    def _take_over(self, source: int, tokens: list[int]) -> int:
        """Hold the cached state `source` itself, without a copy."""
        if source not in self._states:
            raise EngineError("all sequences are in use", hint="give a larger n_seq_max")
        del self._states[source]
        self._held[source] = list(tokens)
        return source

    def _remove(self, sequence: int) -> None:
        self._context.remove(sequence)
        self._states.pop(sequence, None)
        self._held.pop(sequence, None)
        self._free.append(sequence)

    def _make_room(self, length: int) -> None:
        """Remove cached states until the cells surely hold `length` more tokens (hybrid models)."""
        held = sum(len(tokens) for tokens in self._held.values())
        while self._states:
            cached = sum(len(tokens) for tokens in self._states.values())
            if held + cached + length <= self._context.cells:
                return
            self._remove(next(iter(self._states)))
