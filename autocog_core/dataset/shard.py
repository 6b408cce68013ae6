"""Shards of a data set: parts that several processes, or machines, can run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from autocog_core.errors import InputError

_TEXT = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shard:
    """Every `count`-th row: a row belongs to shard (row mod `count`) + 1.

    So each shard has rows of all parts of the data, and `merge_shards` takes one row from each in
    turn.

    :ivar number: which shard it is, from 1.
    :ivar count: how many shards there are.
    :raises ValueError: if there is no such shard.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"{self.number}/{self.count}: there is at least one shard")
        if not 1 <= self.number <= self.count:
            raise ValueError(f"{self.number}/{self.count}: the shards are 1 to {self.count}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that "2/4" names.

        :raises InputError: if the text names none.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            hint = "for example --shard 1/4 for the first of four"
            raise InputError(f'"{text}" names no shard', where="--shard", hint=hint)
        try:
            return cls(int(match[1]), int(match[2]))
        except ValueError as error:
            raise InputError(str(error), where="--shard") from error

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def is_whole(self) -> bool:
        """Whether it is the only shard: all rows."""
        return self.count == 1

    def row(self, position: int) -> int:
        """Return the number of the row at a position among the rows of the shard, from 0."""
        return position * self.count + self.number - 1

    def size(self, rows: int) -> int:
        """Return how many of the first `rows` rows of the data set belong to the shard."""
        return len(range(self.number - 1, rows, self.count))

    def has(self, row: int) -> bool:
        """Whether a row belongs to the shard."""
        return row % self.count == self.number - 1


#: All rows.
WHOLE = Shard()
