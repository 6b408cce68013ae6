"""Rows of tokens for an engine, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import ContractError

Int32Array = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """Tokens to evaluate, and the positions whose logits are needed.

    :ivar index: number of the row among those of its call, from 0.
    :ivar prefix: tokens before the row, which the engine keeps; often none.
    :ivar tokens: tokens to evaluate, at least one.
    :ivar positions: indices in `tokens`, ascending. The logits after these tokens are needed.
    :ivar parents: index in `tokens` of the token before each one; -1 for those right after the
        prefix. Except in trees, this is the index of the token to the left.
    :ivar nodes: the node of each token in the forest of the call.
    """

    index: int
    prefix: Sequence[int]
    tokens: Sequence[int]
    positions: Sequence[int]
    parents: Sequence[int]
    nodes: Sequence[int] = field(repr=False)

    def depths(self) -> Int32Array:
        """Return the place of each token in its text, int32 (n,); the first of a text has 0.

        Models call them position ids.
        """
        depths: list[int] = []
        for parent in self.parents:
            depths.append(len(self.prefix) if parent < 0 else depths[parent] + 1)
        return np.array(depths, dtype=np.int32)

    def mask(self) -> NDArray[np.bool_]:
        """Return which tokens each token attends to, bool (n, len(prefix) + n).

        These are the prefix, the tokens above it in the tree, and itself.
        """
        start = len(self.prefix)
        mask = np.zeros((len(self.tokens), start + len(self.tokens)), dtype=bool)
        mask[:, :start] = True
        for token, parent in enumerate(self.parents):
            if parent >= 0:
                mask[token] = mask[parent]
            mask[token, start + token] = True
        return mask

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.tokens[:5])) + (", ..." if len(self.tokens) > 5 else "")
        after = f" after a prefix of {len(self.prefix)}" if self.prefix else ""
        return f"row {self.index} ({len(self.tokens)} tokens{after}: {shown})"


@dataclass(kw_only=True, eq=False)
class RowBatch:
    """Rows to evaluate in one call of the engine.

    :ivar prefix: tokens before every row, which the engine evaluates first; often none.
    :ivar rows: the rows, at least one.
    :ivar tokens_reused: how many tokens of `prefix` the engine did not evaluate; see `reuse`.
    :ivar is_counted: whether the prefix was counted as evaluated, with the first row.
    """

    prefix: Sequence[int]
    rows: Sequence[Row]
    tokens_reused: int = 0
    is_counted: bool = field(default=False, init=False, repr=False)

    def reuse(self, count: int) -> None:
        """Say that the engine had the first `count` tokens of the prefix from an earlier call.

        They are not counted as evaluated.

        :raises ContractError: if the prefix has fewer tokens, or a row was answered already.
        """
        if self.is_counted:
            raise ContractError(
                "the prefix was counted already",
                where="RowBatch.reuse",
                hint="call it before the first row is answered",
            )
        if not 0 <= count <= len(self.prefix):
            raise ContractError(
                f"{count} tokens cannot be reused from a prefix of {len(self.prefix)}",
                where="RowBatch.reuse",
            )
        self.tokens_reused = count

    def lengths(self) -> Int32Array:
        """Return the number of tokens of each row, int32 (rows,)."""
        return np.array([len(row.tokens) for row in self.rows], dtype=np.int32)

    def padded(self, padding: int = 0) -> Int32Array:
        """Return the tokens of all rows, int32 (rows, longest), with `padding` after short rows."""
        lengths = self.lengths()
        tokens = np.full((len(self.rows), lengths.max()), padding, dtype=np.int32)
        for line, row in zip(tokens, self.rows, strict=True):
            line[: len(row.tokens)] = row.tokens
        return tokens
