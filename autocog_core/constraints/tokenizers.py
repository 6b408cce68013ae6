"""Vocabularies as llguidance needs them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llguidance import LLTokenizer


class _Tokens:
    """What `llguidance.TokenizerWrapper` reads.

    :ivar tokens: the bytes of each id. llguidance never allows ids that begin with 0xff, which is
        no UTF-8.
    """

    bos_token_id: int | None = None

    def __init__(self, vocabulary: Sequence[bytes]) -> None:
        # One id more than the model has: "the text may end here".
        self.eos_token_id = len(vocabulary)
        self.tokens = [raw or b"\xff<|%d|>" % token for token, raw in enumerate((*vocabulary, b""))]
        self.special_token_ids = [token for token, raw in enumerate(vocabulary) if not raw]

    def __call__(self, text: bytes | str) -> list[int]:
        """Forced texts are not tokenized: each token is decided, so nothing calls this."""
        return []


def make_tokenizer(vocabulary: Sequence[bytes]) -> LLTokenizer:
    """Return a vocabulary for llguidance. Id V, which the model does not have, ends a text.

    :param vocabulary: the bytes of each of V ids; empty for special tokens.
    """
    from llguidance import LLTokenizer, TokenizerWrapper

    return LLTokenizer(
        TokenizerWrapper(_Tokens(vocabulary)),
        n_vocab=len(vocabulary) + 1,
        eos_token=len(vocabulary),
    )


@cache
def byte_tokenizer() -> LLTokenizer:
    """Return the vocabulary of the 256 bytes: the id of a byte is its value."""
    from llguidance import LLTokenizer, TokenizerWrapper

    tokens = _Tokens([bytes([value]) for value in range(256)])
    return LLTokenizer(TokenizerWrapper(tokens), n_vocab=257, eos_token=256, slices=[])
