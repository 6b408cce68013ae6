"""Whether a constrained text fits into the tokens that a completion may have."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from autocog_core.automaton.actions import Complete
from autocog_core.automaton.checks.finding import Finding
from autocog_core.constraints.beginning import fixed_beginning

if TYPE_CHECKING:
    from autocog_core.hooks.client import BackendClient


def check_constraint_length(action: Complete, client: BackendClient) -> Iterator[Finding]:
    """Report a constraint whose fixed beginning alone takes more tokens than `length` allows."""
    if action.constraint is None or "vocabulary" not in client.capabilities:
        return
    beginning = fixed_beginning(action.constraint)
    if len(beginning) <= action.length:
        # No token has less than one byte.
        return
    count = count_fewest_tokens(beginning, client.vocabulary())
    if count is not None and count > action.length:
        yield Finding.at_action(
            f"its constraint takes at least {count} tokens, and its length is {action.length}: "
            "give a larger length",
            action,
        )


def count_fewest_tokens(text: bytes, vocabulary: Sequence[bytes]) -> int | None:
    """Return the smallest number of tokens that spell a text; None if none do.

    The last token may go on after the text.

    :param text: the text.
    :param vocabulary: the bytes of each token; empty for special tokens.
    """
    tokens = sorted(set(vocabulary) - {b""})
    members = set(tokens)
    longest = max(map(len, tokens), default=0)
    # For each position, the fewest tokens from there to the end.
    fewest: list[int | None] = [None] * len(text) + [0]
    for start in range(len(text) - 1, -1, -1):
        counts = [
            count + 1
            for size in range(1, min(longest, len(text) - start) + 1)
            if (count := fewest[start + size]) is not None and text[start : start + size] in members
        ]
        rest = text[start:]
        # In sorted order, the first token that is not less than it begins with it, if any does.
        position = bisect_left(tokens, rest) if len(rest) < longest else len(tokens)
        if position < len(tokens) and tokens[position].startswith(rest):
            counts.append(1)
        fewest[start] = min(counts, default=None)
    return fewest[0]
