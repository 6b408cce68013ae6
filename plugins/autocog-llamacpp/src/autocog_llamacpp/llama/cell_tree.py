"""The tokens in llama.cpp's KV cells, as a tree. llama.cpp has no function to read them.

Sequences with a common prefix share cells. A cell exists while a sequence goes through it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain


class Cell:
    """A token in llama.cpp's memory.

    :ivar token: the token.
    :ivar parent: the cell of the previous token; None for the root.
    :ivar length: number of tokens from the start to this cell.
    :ivar children: cells of the next tokens, by token.
    :ivar ends: the sequences that end here.
    """

    __slots__ = ("children", "ends", "length", "parent", "token")

    def __init__(self, token: int, parent: Cell | None, length: int) -> None:
        self.token = token
        self.parent = parent
        self.length = length
        self.children: dict[int, Cell] = {}
        self.ends: set[int] = set()

    def sequences_through(self) -> Iterator[int]:
        """Yield the sequences that go through this cell, first those that end here."""
        stack = [self]
        while stack:
            cell = stack.pop()
            yield from cell.ends
            stack.extend(cell.children.values())


class CellTree:
    """The sequences in memory, and their cells.

    :param sequences: number of sequence ids.
    :ivar used: number of cells in use.
    """

    def __init__(self, sequences: int) -> None:
        self.root = Cell(-1, None, 0)
        self.used = 0
        self._free = list(range(sequences))[::-1]
        #: The last cell of each sequence, least recently used first.
        self._ends: dict[int, Cell] = {}
        #: The call that last used each sequence.
        self._last_use: dict[int, int] = {}
        #: Sequences that hold a prefix which several sequences continue.
        self._shared_prefixes: set[int] = set()
        self._clock = 0

    def __contains__(self, sequence: int) -> bool:
        return sequence in self._ends

    def allocate(self) -> int | None:
        """Return a free sequence id, if there is one."""
        return self._free.pop() if self._free else None

    def sequences(self) -> list[int]:
        """Return all sequences in memory."""
        return list(self._ends)

    def end(self, sequence: int) -> Cell:
        """Return the last cell of a sequence."""
        return self._ends[sequence]

    def any_sequence_through(self, cell: Cell) -> int:
        """Return a sequence through `cell`, preferably one that ends there."""
        return next(cell.sequences_through())

    def advance_clock(self) -> None:
        """Start the next call: sequences that it uses count as more recent."""
        self._clock += 1

    def least_recently_used(self, keep: Collection[int]) -> int | None:
        """Return the sequence to evict, if there is one outside of `keep`.

        First, branches that the last call did not use. Then shared prefixes: prompts, which later
        calls may use again. Last, the branches of the last call.
        """
        candidates = [sequence for sequence in self._ends if sequence not in keep]
        shared = self._shared_prefixes
        last = self._clock - 1
        old = (s for s in candidates if s not in shared and self._last_use[s] < last)
        prefixes = (s for s in candidates if s in shared)
        return next(chain(old, prefixes, candidates), None)

    def append_cell(self, cell: Cell, token: int) -> Cell:
        """Return a new cell after `cell`. A sequence must then be moved to it or below it."""
        child = cell.children[token] = Cell(token, cell, cell.length + 1)
        self.used += 1
        return child

    def move(self, sequence: int, cell: Cell, *, shared_prefix: bool = False) -> None:
        """Let `sequence` end at `cell`, and mark it as most recently used.

        :param shared_prefix: whether several sequences continue it.
        """
        old = self._ends.pop(sequence, None)
        cell.ends.add(sequence)
        self._ends[sequence] = cell
        self._last_use[sequence] = self._clock
        if shared_prefix:
            self._shared_prefixes.add(sequence)
        else:
            self._shared_prefixes.discard(sequence)
        if old is not None and old is not cell:
            old.ends.discard(sequence)
            self._prune(old)

    def free(self, sequence: int) -> None:
        """Remove a sequence, and make its id free."""
        end = self._ends.pop(sequence, None)
        self._last_use.pop(sequence, None)
        self._shared_prefixes.discard(sequence)
        self._free.append(sequence)
        if end is not None:
            end.ends.discard(sequence)
            self._prune(end)

    def _prune(self, cell: Cell) -> None:
        """Free a cell and its ancestors while no sequence goes through them."""
        while cell.parent is not None and not cell.children and not cell.ends:
            # A second evaluation of the token may have replaced this cell.
            if cell.parent.children.get(cell.token) is cell:
                del cell.parent.children[cell.token]
            self.used -= 1
            cell = cell.parent
