"""What llama.cpp's KV cells hold, as a tree: llama.cpp itself cannot be asked.

Sequences that begin alike share cells, so that all of them together are a tree of tokens; a cell
lives as long as a sequence goes through it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain


class Cell:
    """A token in llama.cpp's memory, at a place of the sequences that go through it.

    :ivar length: tokens of a sequence that ends here.
    :ivar ends: the sequences that end here; others go on through `children`.
    """

    __slots__ = ("children", "ends", "length", "parent", "token")

    def __init__(self, token: int, parent: Cell | None, length: int) -> None:
        self.token = token
        self.parent = parent
        self.length = length
        self.children: dict[int, Cell] = {}
        self.ends: set[int] = set()

    def below(self) -> Iterator[int]:
        """All sequences that go through here."""
        stack = [self]
        while stack:
            cell = stack.pop()
            yield from cell.ends
            stack.extend(cell.children.values())


class CellTree:
    """The sequences in memory, and the cells that they are made of.

    :ivar used: how many cells are taken.
    """

    def __init__(self, sequences: int) -> None:
        self.root = Cell(-1, None, 0)
        self.used = 0
        self._free = list(range(sequences))[::-1]
        #: The cell at which each sequence ends; that which was used last is last.
        self._ends: dict[int, Cell] = {}
        #: The call that used each sequence last, and those that hold only what calls began with.
        self._used_by: dict[int, int] = {}
        self._trunks: set[int] = set()
        self._call = 0

    def __contains__(self, sequence: int) -> bool:
        return sequence in self._ends

    def take(self) -> int | None:
        """A sequence id that is free, if there is one."""
        return self._free.pop() if self._free else None

    def sequences(self) -> list[int]:
        """All sequences in memory."""
        return list(self._ends)

    def end(self, sequence: int) -> Cell:
        """The last cell of a sequence."""
        return self._ends[sequence]

    def through(self, cell: Cell) -> int:
        """Some sequence that goes through `cell`, by preference one that ends there."""
        return next(cell.below())

    def next_call(self) -> None:
        """From now on sequences are used by another call."""
        self._call += 1

    def oldest(self, spared: Collection[int]) -> int | None:
        """The sequence that will be missed least, but none of `spared`.

        First the branches that calls before the last one have left, then the trunks from which
        calls grew (prompts, that is, which may come again), then the last call's branches.
        """
        candidates = [found for found in self._ends if found not in spared]
        last = self._call - 1
        old = (s for s in candidates if s not in self._trunks and self._used_by[s] < last)
        trunks = (s for s in candidates if s in self._trunks)
        return next(chain(old, trunks, candidates), None)

    def grow(self, cell: Cell, token: int) -> Cell:
        """A new cell after `cell`; it lives once a sequence ends at or below it."""
        child = cell.children[token] = Cell(token, cell, cell.length + 1)
        self.used += 1
        return child

    def move(self, sequence: int, cell: Cell, *, trunk: bool = False) -> None:
        """Let `sequence` end at `cell` from now on, and be the one used last."""
        old = self._ends.pop(sequence, None)
        cell.ends.add(sequence)
        self._ends[sequence] = cell
        self._used_by[sequence] = self._call
        (self._trunks.add if trunk else self._trunks.discard)(sequence)
        if old is not None and old is not cell:
            old.ends.discard(sequence)
            self._prune(old)

    def drop(self, sequence: int) -> None:
        """Forget a sequence, and give its id back."""
        end = self._ends.pop(sequence, None)
        self._used_by.pop(sequence, None)
        self._trunks.discard(sequence)
        self._free.append(sequence)
        if end is not None:
            end.ends.discard(sequence)
            self._prune(end)

    def _prune(self, cell: Cell) -> None:
        """Give back the cells that no sequence goes through any more."""
        while cell.parent is not None and not cell.children and not cell.ends:
            # A cell that was evaluated anew has taken the place of this one, and its token.
            if cell.parent.children.get(cell.token) is cell:
                del cell.parent.children[cell.token]
            self.used -= 1
            cell = cell.parent
