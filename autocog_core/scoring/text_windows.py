"""Windows over a sequence that is longer than a model's context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autocog_core.errors import ContextOverflowError, InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Tokens to evaluate together.

    :ivar prefix: ids before the first token that is scored here.
    :ivar start: index in the sequence of that token.
    :ivar end: index after the last token that is scored here.
    """

    prefix: tuple[int, ...]
    start: int
    end: int


def split_into_windows(
    ids: Sequence[int],
    first_scored: int,
    *,
    bos: Sequence[int],
    size: int | None,
    stride: int | None,
) -> Iterator[Window]:
    """Yield windows that together score every token from `first_scored` on exactly once.

    The first window begins with the sequence. Each later one scores the next `stride` tokens, after
    as many tokens before them as fit, and BOS if the model adds one.

    :param ids: the whole sequence, BOS included.
    :param first_scored: index of the first token to score, at least 1.
    :param bos: the ids with which every sequence of this model begins: BOS, or none.
    :param size: tokens in a window; None for no limit.
    :param stride: tokens that each later window scores; None for half a window.
    :raises InputError: for a window, or a stride, that leaves no token to condition on.
    :raises ContextOverflowError: if the context before the text fills the first window.
    """
    if size is None or len(ids) <= size:
        yield Window(prefix=tuple(ids[:first_scored]), start=first_scored, end=len(ids))
        return
    longest_stride = size - len(bos) - 1
    if longest_stride < 1:
        raise InputError(
            f"{size} tokens leave nothing to condition on", where="window", hint="give a larger one"
        )
    stride = stride if stride is not None else max(1, min(size // 2, longest_stride))
    if not 1 <= stride <= longest_stride:
        raise InputError(
            f"got {stride}", where="stride", hint=f"1 to {longest_stride} for windows of {size}"
        )
    if first_scored >= size:
        raise ContextOverflowError(
            f"{first_scored} tokens fill the window of {size}",
            where="context",
            hint="shorten it",
        )
    yield Window(prefix=tuple(ids[:first_scored]), start=first_scored, end=size)
    for start in range(size, len(ids), stride):
        end = min(start + stride, len(ids))
        before = ids[end - (size - len(bos)) : start]
        yield Window(prefix=(*bos, *before), start=start, end=end)
