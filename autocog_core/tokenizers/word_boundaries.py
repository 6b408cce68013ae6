"""Word boundaries that no token crosses: text can be split there before it is tokenized."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

#: Before the single blank between two words, before a line, after punctuation of scripts without
#: blanks: where tokenizers tend to begin a token.
WORD_BOUNDARY = re.compile(
    r"(?<=\w)(?= [^\W\d_])|(?<=\w)(?=\n\w)|(?<=[\u3001\u3002\uff0c\uff01\uff1f])(?=\w)"
)

#: Before a blank and a word that follow anything but a blank, and before a word that begins a line:
#: more boundaries than above, at which only some vocabularies end all tokens.
WORD_START = re.compile(r"(?<=[^\s\0])(?= [^\W\d_])|(?<=\n)(?=[^\W\d_])")
_BEGINS_WITH_WORD = re.compile(r" [^\W\d_]")


def begins_with_word(text: str) -> bool:
    """Return whether a text begins with a blank and a word."""
    return _BEGINS_WITH_WORD.match(text) is not None


def ends_before_word(text: str) -> bool:
    """Return whether a text that `begins_with_word` has a `WORD_START` after this one."""
    return bool(text) and not text[-1].isspace() and text[-1] != "\0"


def tokens_across_boundaries(vocabulary: Iterable[bytes]) -> Iterator[str]:
    """Yield the tokens, as text, that have a word boundary inside.

    If there are none, text on one side of a boundary never changes the tokens on the other side,
    because tokens are merged from smaller ones.

    :param vocabulary: the bytes of each token.
    """
    separator = "\0"
    text = _join_vocabulary(vocabulary)
    for match in WORD_BOUNDARY.finditer(text):
        begin = text.rfind(separator, 0, match.start()) + 1
        end = text.find(separator, match.start())
        yield text[begin : end if end >= 0 else len(text)]


def respects_word_boundaries(vocabulary: Iterable[bytes]) -> bool:
    """Return whether no token crosses a boundary: `BackendInfo.splits_at_word_boundaries`.

    :param vocabulary: the bytes of each token.
    """
    return next(tokens_across_boundaries(vocabulary), None) is None


def splits_before_words(vocabulary: Iterable[bytes]) -> bool:
    """Return whether no token crosses a `WORD_START`.

    Then text before it never changes the tokens after it.

    :param vocabulary: the bytes of each token.
    """
    return WORD_START.search(_join_vocabulary(vocabulary)) is None


def _join_vocabulary(vocabulary: Iterable[bytes]) -> str:
    # Part of a character may be the end of a word.
    return b"\0".join(vocabulary).decode("utf-8", errors="replace").replace("\ufffd", "x")
