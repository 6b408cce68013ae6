"""Which tokens end a text, on servers that do not say: those of the usual names are tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autocog_openai.connection.client import Connection

#: Ends of texts and of turns, by the names that models give them.
NAMES = (
    *("<|im_end|>", "<|endoftext|>", "</s>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"),
    *("<eos>", "<end_of_turn>", "<|end|>", "<|return|>", "<|call|>", "<|eos|>", "<|eot|>"),
    *(
        "<\uff5cend\u2581of\u2581sentence\uff5c>",
        "<|END_OF_TURN_TOKEN|>",
        "[EOS]",
        "<|endofprompt|>",
    ),
)


def find_ends(
    connection: Connection,
    tokenize: Callable[[str], Sequence[int]],
    ends: Callable[[int], bool],
) -> tuple[tuple[tuple[str, int], ...], tuple[int, ...]]:
    """Special tokens by their texts, and those among them that end a text.

    :param tokenize: ids of a text in which special tokens are parsed.
    :param ends: whether a text ends where it is made to write a token.
    """
    special = []
    for name, ids in zip(NAMES, connection.gather(tokenize, NAMES), strict=True):
        if len(ids) == 1:
            special.append((name, int(ids[0])))
    found = connection.gather(lambda each: ends(each[1]), special)
    return tuple(special), tuple(
        token for (_, token), end in zip(special, found, strict=True) if end
    )
