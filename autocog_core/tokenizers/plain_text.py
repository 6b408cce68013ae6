"""Untrusted text on tokenizers that parse special tokens anyway, or add blanks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

#: Returns the token ids of each text, as the engine computes them.
Tokenize = Callable[[Sequence[str]], list[list[int]]]

#: Other texts that continuations are tokenized after, if the first one merges with them.
_TEXTS_BEFORE = (".", ";")
#: Added tokens that are not marked special, but control a model all the same (`<tool_call>`).
_CONTROL = re.compile(r"[<\[][^\s].*[>\]]$", re.DOTALL)


def looks_like_control_token(surface: str) -> bool:
    """Return whether untrusted text must not produce this added token, although not special."""
    return _CONTROL.match(surface) is not None


class SpecialTokenSplitter:
    """Splits text inside the tokens that an engine parses even where it is asked not to.

    :param surfaces: the texts of these tokens.
    """

    def __init__(self, surfaces: Iterable[str]) -> None:
        escaped = [re.escape(surface) for surface in surfaces if surface]
        self._pattern = re.compile("|".join(escaped)) if escaped else None

    def split(self, text: str) -> list[str]:
        """Return `text` in parts, none of which contains such a token: mostly one part."""
        if self._pattern is None:
            return [text]
        cuts = [0]
        # One token may begin inside another one.
        while match := self._pattern.search(text, cuts[-1]):
            cuts.append(match.start() + 1)
        return [text[start:end] for start, end in pairwise([*cuts, len(text)])]


def tokenize_continuation(
    text: str, tokenize: Tokenize, *, after: str = "\n", unknown: int | None = None
) -> list[int]:
    """Return the ids of `text` as a continuation, on a tokenizer that adds a blank at the start.

    :param text: the text.
    :param tokenize: tokenizes texts that begin a sequence.
    :param after: what the text is tokenized after: a text that the tokenizer keeps as it is.
    :param unknown: the id of the token for text that has no token. It may swallow the text after.
    """
    for before in (after, *_TEXTS_BEFORE):
        before_ids, joint = tokenize([before, before + text])
        # It may merge with the text.
        is_known = before_ids and unknown not in before_ids
        if is_known and joint[: len(before_ids)] == before_ids:
            return joint[len(before_ids) :]
    # Everything merges with the text: then the text does not begin with a word.
    return tokenize([text])[0]
