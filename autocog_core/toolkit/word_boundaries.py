"""Borders in text that no token spans, where it may be cut whatever follows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

#: Before the one blank between two words, before a line, after punctuation of scripts without
#: blanks: where tokenizers tend to begin a token.
WORD_BOUNDARY = re.compile(
    r"(?<=\w)(?= [^\W\d_])|(?<=\w)(?=\n\w)|(?<=[\u3001\u3002\uff0c\uff01\uff1f])(?=\w)"
)


def tokens_across_boundaries(vocabulary: Iterable[bytes]) -> Iterator[str]:
    """The tokens, as text, within which there is a border.

    A vocabulary without any keeps borders: tokens are made of smaller ones, so what stands on one
    side of a border never changes those on the other.
    """
    separator = "\0"
    # Part of a character may be the end of a word.
    text = b"\0".join(vocabulary).decode("utf-8", errors="replace").replace("\ufffd", "x")
    for match in WORD_BOUNDARY.finditer(text):
        begin = text.rfind(separator, 0, match.start()) + 1
        end = text.find(separator, match.start())
        yield text[begin : end if end >= 0 else len(text)]


def respects_word_boundaries(vocabulary: Iterable[bytes]) -> bool:
    """Whether no token spans a border: what `BackendInfo.splits_at_word_boundaries` says."""
    return next(tokens_across_boundaries(vocabulary), None) is None
