"""Tokenizers that change the text, or fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autocog_core import BackendInfo, Message, Prompt, TextPiece
from tests.mutants.correct_models import CorrectLM


class BOSAddedByTokenizer(CorrectLM):
    def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        batch = super().tokenize_impl(texts, at_start, parse_special)
        return [[self.vocabulary.bos, *tokens] for tokens in batch]


class BOSStripped(CorrectLM):
    """Removes BOS before it evaluates a sequence."""

    def logits(self, tokens: Sequence[int]) -> Any:
        without_bos = [token for token in tokens if token != self.vocabulary.bos]
        return super().logits(without_bos or tokens)


class LeadingBlankDropped(CorrectLM):
    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        return super().detokenize_impl(tokens).removeprefix(b" ")


class Lowercased(CorrectLM):
    def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        return super().tokenize_impl([text.lower() for text in texts], at_start, parse_special)


class TabsRemoved(CorrectLM):
    def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        without_tabs = [text.replace("\t", "") for text in texts]
        return super().tokenize_impl(without_tabs, at_start, parse_special)


class InvalidBytesReplaced(CorrectLM):
    """Replaces the bytes of incomplete characters with replacement characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"vocabulary": "bytes", **options})

    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        return super().detokenize_impl(tokens).decode("utf-8", errors="replace").encode()


class TokenizerSpelling(CorrectLM):
    """Returns tokens as a tokenizer file spells them, with a mark for the blank before a word."""

    def vocabulary_impl(self) -> Sequence[bytes]:
        return [b"\xc4\xa0" + token for token in super().vocabulary_impl() or ()]


class SpecialTokensParsed(CorrectLM):
    def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        return super().tokenize_impl(texts, at_start, True)


class TemplateArgumentsKept(CorrectLM):
    """Stores the variables of its chat template, so that the next prompt has them too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.variables: dict[str, Any] = {}

    def chat_prompt_impl(  # type: ignore[override]
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any],
    ) -> Prompt:
        self.variables.update(template_arguments)
        prompt = super().chat_prompt_impl(messages, add_generation_prompt)
        return Prompt((*prompt.pieces, TextPiece("".join(sorted(self.variables)), trusted=True)))


class PaddedVocabulary(CorrectLM):
    """Returns rows with five more ids than the tokenizer knows."""

    def describe_impl(self) -> BackendInfo:
        info = super().describe_impl()
        return replace(info, vocabulary_size=info.vocabulary_size + 5)

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        row = super().greedy_impl(tokens)
        return np.concatenate([row, np.full(5, -np.inf, dtype=np.float32)])

    def vocabulary_impl(self) -> Sequence[bytes]:
        return [*self.vocabulary.surfaces, *[b""] * 5]


class FailsOnEmoji(CorrectLM):
    def tokenize_impl(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        for text in texts:
            if any(ord(character) > 0xFFFF for character in text):
                raise ValueError("chr() arg not in range")
        return super().tokenize_impl(texts, at_start, parse_special)


class WordBoundariesCrossed(CorrectLM):
    """Declares that no token crosses a word boundary, but one does."""

    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), splits_at_word_boundaries=True)

    def vocabulary_impl(self) -> Sequence[bytes]:
        return [*self.vocabulary.surfaces[:-1], b" by the way"]
