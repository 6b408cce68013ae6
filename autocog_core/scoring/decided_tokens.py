"""Which tokens a choice decides, from the tokens of the text before it with and without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autocog_core.types.token_tree import common_prefix_length

Ids = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecidedTokens:
    """The decided tokens of choices. Rows of a data set often share one of these objects.

    :ivar choice_ids: the decided ids of each choice.
    :ivar longest: the number of ids of the longest choice.
    :ivar are_distinct: whether all choices have different ids.
    :ivar dropped: the index of the first choice without a token of its own; None if all have one.
    :ivar drops_suffix: whether the suffix has no token of its own.
    """

    choice_ids: tuple[Ids, ...]
    longest: int
    are_distinct: bool
    dropped: int | None = None
    drops_suffix: bool = False


def decide_tokens(
    text_ids: Ids, joint_ids: Sequence[Ids], *, has_suffix: bool
) -> tuple[int, DecidedTokens]:
    """Return how many ids of a text all choices keep, and the ids that the choices decide.

    :param text_ids: the ids of the text before the choices.
    :param joint_ids: for each choice (with its suffix), the ids of the text and it together;
        with `has_suffix` at last those of the text and the suffix alone.
    :param has_suffix: whether the choices have a suffix.
    """
    # The ids without a choice. A choice that adds nothing to them would get the score of its
    # neighbors.
    without = joint_ids[-1] if has_suffix else text_ids
    if has_suffix:
        joint_ids = joint_ids[:-1]
    shared = len(text_ids)
    dropped = None
    for index, ids in enumerate(joint_ids):
        if ids[:shared] != text_ids[:shared]:
            shared = common_prefix_length(text_ids[:shared], ids)
        if dropped is None and (ids == without or ids == text_ids[: len(ids)]):
            dropped = index
    return shared, make_decided_tokens(
        tuple([ids[shared:] for ids in joint_ids]),
        dropped=dropped,
        drops_suffix=has_suffix and without == text_ids,
    )


def make_decided_tokens(
    choice_ids: tuple[Ids, ...], *, dropped: int | None, drops_suffix: bool
) -> DecidedTokens:
    """Return the decided tokens of choices, and what follows from their ids.

    The arguments are the fields of `DecidedTokens`.
    """
    return DecidedTokens(
        choice_ids=choice_ids,
        longest=max(map(len, choice_ids)),
        are_distinct=len(set(choice_ids)) == len(choice_ids),
        dropped=dropped,
        drops_suffix=drops_suffix,
    )
