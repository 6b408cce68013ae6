"""Shares as bars of blocks."""

from __future__ import annotations

#: The columns of a whole bar.
BAR_WIDTH = 10


def block_bar(share: float) -> str:
    """Return a share of 1 as a bar of blocks, to an eighth of a column."""
    eighths = round(max(0.0, min(1.0, share)) * BAR_WIDTH * 8)
    full, partial = divmod(eighths, 8)
    return "\u2588" * full + (chr(0x2590 - partial) if partial else "")
