"""Thousands of texts that begin with a word, tokenized as a few long texts.

Tokenizers take up to 60 microseconds for each text, however short. No token crosses the start of a
word in most vocabularies (`tokenizers.word_boundaries.WORD_START`). Then the tokens of " Paris
London" are those of " Paris" and those of " London".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import numpy as np

from autocog_core.scoring.decided_tokens import Ids
from autocog_core.tokenizers.word_boundaries import begins_with_word, ends_before_word

#: Characters of one long text. Some tokenizers are slow, or need a larger stack, for longer ones.
MAX_JOINED_LENGTH = 500
#: Every so many of the texts, one is also tokenized alone as a check.
CHECK_INTERVAL = 500

Tokenize = Callable[[Sequence[str]], list[Ids]]


def tokenize_joined(
    text: str,
    text_ids: Ids,
    continuations: Sequence[str],
    tokenize: Tokenize,
    vocabulary: Sequence[bytes],
) -> list[Ids] | None:
    """Return the ids of a text together with each continuation; None if they cannot be joined.

    Only for models with `splits_before_words`.

    :param text: the text.
    :param text_ids: its ids.
    :param continuations: texts that may follow it.
    :param tokenize: returns the ids of each text.
    :param vocabulary: the bytes of each token.
    """
    if not text_ids or not ends_before_word(text):
        return None
    words = [i for i, c in enumerate(continuations) if begins_with_word(c) and ends_before_word(c)]
    if 2 * len(words) < len(continuations):
        return None
    groups = _group(words, continuations)
    joined = tokenize(
        [text + "".join([continuations[index] for index in group]) for group in groups]
    )
    joint: list[Ids] = [()] * len(continuations)
    count = len(text_ids)
    for group, ids in zip(groups, joined, strict=True):
        if ids[:count] != text_ids:
            return None
        parts = _cut(ids[count:], [continuations[index] for index in group], vocabulary)
        if parts is None:
            return None
        for index, part in zip(group, parts, strict=True):
            joint[index] = text_ids + part
    checked = words[::CHECK_INTERVAL]
    alone = tokenize([text + continuations[index] for index in checked])
    if alone != [joint[index] for index in checked]:
        return None
    is_word = set(words)
    others = [index for index in range(len(continuations)) if index not in is_word]
    ids_of_others = tokenize([text + continuations[index] for index in others])
    for index, ids in zip(others, ids_of_others, strict=True):
        joint[index] = ids
    return joint


def _group(words: Sequence[int], continuations: Sequence[str]) -> list[list[int]]:
    """Return groups of neighbors, each short enough for one text."""
    groups: list[list[int]] = []
    length = MAX_JOINED_LENGTH
    for index in words:
        length += len(continuations[index])
        if length > MAX_JOINED_LENGTH:
            groups.append([])
            length = len(continuations[index])
        groups[-1].append(index)
    return groups


def _cut(ids: Ids, texts: Sequence[str], vocabulary: Sequence[bytes]) -> list[Ids] | None:
    """Return the ids of each text, from those of the joined texts; None if they cannot be cut."""
    raw = [text.encode("utf-8") for text in texts]
    tokens = [vocabulary[id_] for id_ in ids]
    # A tokenizer may change texts. Then the numbers of bytes would say nothing.
    if b"".join(tokens) != b"".join(raw):
        return None
    sizes = list(accumulate(map(len, tokens)))
    ends = list(accumulate(map(len, raw)))
    # The token that ends where each text ends.
    last = np.searchsorted(sizes, ends)
    if not np.array_equal(np.array(sizes)[last], ends):
        return None
    return [ids[start:end] for start, end in pairwise([0, *(last + 1).tolist()])]
