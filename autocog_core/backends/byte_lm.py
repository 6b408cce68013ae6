"""Base class of the built-in backends: everything but the token distribution."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from autocog_core.backends.byte_vocabulary import (
    BOS_TEXT,
    EOS_TEXT,
    ByteVocabulary,
    VocabularyKind,
)
from autocog_core.config.options import BackendOptions
from autocog_core.model.lm import ChoiceLM
from autocog_core.tokenizers.chat_prompt import render_chat_prompt
from autocog_core.tokenizers.word_boundaries import respects_word_boundaries
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.prompt import Message, Prompt


class ByteOptions(BackendOptions):
    """Options of every built-in backend."""

    vocabulary: VocabularyKind = Field(
        default="bytes", description="bytes, or bytes and merged tokens"
    )
    bos: bool = Field(default=True, description="whether sequences begin with BOS")
    context_length: int = Field(
        default=100_000, ge=1, description="maximum number of tokens in a sequence"
    )


class ByteLM(ChoiceLM):
    """A language model over bytes. A subclass implements `greedy_impl`.

    :param options: the options, which determine the fingerprint.
    :param completion_kwargs: default arguments of completions.
    """

    kind = "bytes"

    def __init__(
        self, options: ByteOptions, completion_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(completion_kwargs=completion_kwargs)
        self.options = options
        self.vocabulary = ByteVocabulary(options.vocabulary, with_bos=options.bos)

    def tokenize_impl(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        return [self.vocabulary.tokenize(text, parse_special) for text in texts]

    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        return self.vocabulary.detokenize(tokens)

    def vocabulary_impl(self) -> Sequence[bytes]:
        return self.vocabulary.surfaces

    def chat_prompt_impl(self, messages: Sequence[Message], add_generation_prompt: bool) -> Prompt:
        # Its template has no variables, so it takes no arguments of templates.
        def render(items: list[dict[str, str]]) -> str:
            text = "".join(f"{item['role']}: {item['content']}{EOS_TEXT}\n" for item in items)
            return text + ("assistant:" if add_generation_prompt else "")

        surfaces = [token.text for token in self.vocabulary.special_tokens]
        return render_chat_prompt(messages, render, surfaces)

    def describe_impl(self) -> BackendInfo:
        vocabulary = self.vocabulary
        identity = f"{self.kind} {self.options.model_dump_json()}"
        digest = hashlib.sha256(identity.encode()).hexdigest()
        return BackendInfo(
            name=f"{self.kind} over {self.options.vocabulary}",
            vocabulary_size=vocabulary.size,
            context_length=self.options.context_length,
            bos=vocabulary.bos,
            adds_bos=vocabulary.bos is not None,
            eos=(vocabulary.eos,),
            special_tokens=vocabulary.special_tokens,
            splits_at_word_boundaries=respects_word_boundaries(vocabulary.surfaces),
            tolerance=1e-6,
            isolates=True,
            details={"vocabulary": self.options.vocabulary, "bos_text": BOS_TEXT},
            compute_fingerprint=lambda: digest,
        )
