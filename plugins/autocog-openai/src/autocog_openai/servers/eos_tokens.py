"""EOS tokens of servers that do not report them: the usual names are tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autocog_openai.connection.client import Connection

#: Names that models give to the tokens at the end of a text or a message.
NAMES = (
    *("<|im_end|>", "<|endoftext|>", "</s>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"),
    *("<eos>", "<end_of_turn>", "<|end|>", "<|return|>", "<|call|>", "<|eos|>", "<|eot|>"),
    *("<\uff5cend\u2581of\u2581sentence\uff5c>", "<|END_OF_TURN_TOKEN|>", "[EOS]"),
    "<|endofprompt|>",
)


def find_eos_tokens(
    connection: Connection,
    tokenize: Callable[[str], Sequence[int]],
    ends_text: Callable[[int], bool],
) -> dict[str, tuple[object, ...]]:
    """Return `special_token_ids` and `eos` of `ServerCapabilities`.

    :param tokenize: returns the ids of a text, and parses special tokens in it.
    :param ends_text: forces the server to write a token, and returns whether the text then ends.
    """
    special = [
        (name, ids[0])
        for name, ids in zip(NAMES, connection.map_concurrently(tokenize, NAMES), strict=True)
        if len(ids) == 1
    ]
    tokens = [token for _, token in special]
    results = connection.map_concurrently(ends_text, tokens)
    eos = tuple(token for token, ends in zip(tokens, results, strict=True) if ends)
    return {"special_token_ids": tuple(special), "eos": eos}
