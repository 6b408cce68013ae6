"""The divergence of two decisions from what they have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autocog_core.numerics import share_divergence

#: Rounding of sums of shares leaves less than this.
_ROUNDING = 1e-6


def shared_divergences(
    shares: Sequence[tuple[float | None, float | None]], *, is_complete: bool
) -> tuple[float | None, float | None, str]:
    """Return KL(first || second) and KL(second || first) in nats, and what they are about.

    With alternatives that only one decision has, the whole divergence would be infinite, or not
    known. So the shares of the others are normalized to sum to 1.

    :param shares: the shares of each alternative that both decisions have.
    :param is_complete: whether no decision has others.
    :returns: None for both if they are not known; and a note, which is empty if the divergences are
        those of the whole decisions.
    """
    known = [(a, b) for a, b in shares if a is not None and b is not None]
    if len(known) < len(shares):
        return None, None, "a probability is only known within bounds"
    first, second = [a for a, _ in known], [b for _, b in known]
    sums = math.fsum(first), math.fsum(second)
    is_whole = is_complete and all(abs(total - 1.0) < _ROUNDING for total in sums)
    if not is_whole and len(known) < 2:
        return None, None, "fewer than two alternatives are in both trees"
    if min(sums) <= 0:
        return None, None, "the shared alternatives have no probability in one tree"
    note = ""
    if not is_whole:
        others = " and ".join(f"{max(0.0, 1.0 - total):.4f}" for total in sums)
        note = f"of the {len(known)} shared alternatives alone; the others have {others}"
    return share_divergence(first, second), share_divergence(second, first), note
