"""Untrusted text on tokenizers that parse more than they should, or add blanks of their own.

For authors of backends: what engines' tokenizers do differently from `hookspecs.tokenize`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

#: Token ids of each text as the engine gives them.
Tokenize = Callable[[Sequence[str]], list[list[int]]]

#: Added tokens that are not marked special, but steer a model all the same (`<tool_call>`).
_CONTROL = re.compile(r"[<\[][^\s].*[>\]]$", re.DOTALL)


def looks_like_control_token(surface: str) -> bool:
    """Whether an added token that is not marked special is one that text must not spell."""
    return _CONTROL.match(surface) is not None


class SpecialTokenSplitter:
    """Cuts text inside tokens that an engine would parse although it is told not to.

    :param surfaces: what these tokens look like.
    """

    def __init__(self, surfaces: Iterable[str]) -> None:
        escaped = [re.escape(surface) for surface in surfaces]
        self._pattern = re.compile("|".join(escaped)) if escaped else None

    def split(self, text: str) -> list[str]:
        """`text` in parts, none of which holds such a token; mostly it is one part."""
        if self._pattern is None:
            return [text]
        cuts = [match.start() + 1 for match in self._pattern.finditer(text)]
        return [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]


def tokenize_continuation(text: str, tokenize: Tokenize) -> list[int]:
    """Ids of `text` as a continuation, on a tokenizer that puts a blank before a first word."""
    newline, joint = tokenize(["\n", "\n" + text])
    if joint[: len(newline)] == newline:
        return joint[len(newline) :]
    # A newline that merges with what follows: a word cannot.
    return tokenize([text])[0]
