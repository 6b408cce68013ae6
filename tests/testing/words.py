"""A model with a vocabulary of a few words, which refuses all other text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from autocog_core import BackendInfo, ChoiceLM, InputError, SpecialToken
from autocog_core.numerics import log_softmax

WORDS = ("yes", "no", "maybe", "is", "water", "wet", "the", "sky", "blue")
PROMPTS = ("yes is", "is the sky", "is the water wet")
CHOICES = (" yes", " no", " maybe")
BOS, EOS = SpecialToken("<s>", len(WORDS)), SpecialToken("</s>", len(WORDS) + 1)


class WordLM(ChoiceLM):
    """A model over words; a blank belongs to the word after it."""

    def tokenize_impl(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        return [self.ids(f" {text}" if at_start else text, parse_special) for text in texts]

    def ids(self, text: str, parse_special: bool) -> list[int]:
        ids = {f" {word}": index for index, word in enumerate(WORDS)}
        pattern = r" \w+|."
        if parse_special:
            ids |= {special.text: special.id for special in (BOS, EOS)}
            text, pattern = text.removeprefix(" "), r"</?s>|" + pattern
        pieces = re.findall(pattern, text, re.DOTALL) if text.strip(" ") else []
        for piece in pieces:
            if piece not in ids:
                raise InputError(f"{piece!r} is not a word of this model", where="prompt")
        return [ids[piece] for piece in pieces]

    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        return b"".join(self.vocabulary_impl()[token] for token in tokens)

    def vocabulary_impl(self) -> Sequence[bytes]:
        return [*(f" {word}".encode() for word in WORDS), b"", b""]

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        digest = hashlib.sha256(bytes(tokens)).digest()
        generator = np.random.default_rng(int.from_bytes(digest, "little"))
        return log_softmax(generator.standard_normal(len(WORDS) + 2) * 2)

    def describe_impl(self) -> BackendInfo:
        return BackendInfo(
            name="words",
            vocabulary_size=len(WORDS) + 2,
            context_length=64,
            bos=BOS.id,
            adds_bos=True,
            eos=(EOS.id,),
            special_tokens=(BOS, EOS),
            tolerance=1e-6,
            compute_fingerprint=lambda: "words",
        )
