"""Tokenizers that lose something, or fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import BackendInfo
from tests.mutants.sound import Sound


class BOSTwice(Sound):
    def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        found = super().tokenize_impl(texts, at_start, parse_special)
        return [[self.vocabulary.bos, *tokens] for tokens in found]


class BOSNever(Sound):
    """Takes BOS off again before it evaluates."""

    def logits(self, tokens: Sequence[int]) -> Any:
        own = [token for token in tokens if token != self.vocabulary.bos]
        return super().logits(own or tokens)


class BlankDropped(Sound):
    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        found = super().detokenize_impl(tokens)
        return found.removeprefix(b" ")


class Lowered(Sound):
    def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        return super().tokenize_impl([text.lower() for text in texts], at_start, parse_special)


class TabsLost(Sound):
    def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        kept = [text.replace("\t", "") for text in texts]
        return super().tokenize_impl(kept, at_start, parse_special)


class BytesReplaced(Sound):
    """Bytes that are no whole character become question marks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"vocabulary": "bytes", **options})

    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        return super().detokenize_impl(tokens).decode("utf-8", errors="replace").encode()


class TokenizerSpelling(Sound):
    """Gives tokens as a tokenizer file writes them, with a mark for the blank before a word."""

    def vocabulary_impl(self) -> Sequence[bytes]:
        return [b"\xc4\xa0" + surface for surface in super().vocabulary_impl() or ()]


class SpecialsParsed(Sound):
    def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        return super().tokenize_impl(texts, at_start, True)


class PaddedVocabulary(Sound):
    """Its rows are wider than its tokenizer's vocabulary, which does not know the last ids."""

    def describe_impl(self) -> BackendInfo:
        info = super().describe_impl()
        return replace(info, vocabulary_size=info.vocabulary_size + 5)

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        row = super().greedy_impl(tokens)
        return np.concatenate([row, np.full(5, -np.inf, dtype=np.float32)])

    def vocabulary_impl(self) -> Sequence[bytes]:
        return [*self.vocabulary.surfaces, *[b""] * 5]


class FailsOnEmoji(Sound):
    def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        for text in texts:
            if any(ord(character) > 0xFFFF for character in text):
                raise ValueError("chr() arg not in range")
        return super().tokenize_impl(texts, at_start, parse_special)


class BordersSpanned(Sound):
    """It says that no token spans a border, and one does."""

    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), splits_at_word_boundaries=True)

    def vocabulary_impl(self) -> Sequence[bytes]:
        return [*self.vocabulary.surfaces[:-1], b" by the way"]
