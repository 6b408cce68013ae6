"""Word boundaries that no token crosses: text can be split there before it is tokenized."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

#: Before the single blank between two words, before a line, after punctuation of scripts without
#: blanks: where tokenizers tend to begin a token.
WORD_BOUNDARY = re.compile(
    r"(?<=\w)(?= [^\W\d_])|(?<=\w)(?=\n\w)|(?<=[\u3001\u3002\uff0c\uff01\uff1f])(?=\w)"
)


def tokens_across_boundaries(vocabulary: Iterable[bytes]) -> Iterator[str]:
    """Yield the tokens, as text, that have a word boundary inside.

    If there are none, text on one side of a boundary never changes the tokens on the other side,
    because tokens are merged from smaller ones.

    :param vocabulary: the bytes of each token.
    """
    separator = "\0"
    # Part of a character may be the end of a word.
    text = b"\0".join(vocabulary).decode("utf-8", errors="replace").replace("\ufffd", "x")
    for match in WORD_BOUNDARY.finditer(text):
        begin = text.rfind(separator, 0, match.start()) + 1
        end = text.find(separator, match.start())
        yield text[begin : end if end >= 0 else len(text)]


def respects_word_boundaries(vocabulary: Iterable[bytes]) -> bool:
    """Return whether no token crosses a boundary: `BackendInfo.splits_at_word_boundaries`.

    :param vocabulary: the bytes of each token.
    """
    return next(tokens_across_boundaries(vocabulary), None) is None
