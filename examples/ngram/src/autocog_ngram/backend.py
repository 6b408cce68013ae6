"""The backend `ngram`: an n-gram model of a text file."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from autocog_core import BackendInfo, BackendOptions, ChoiceLM, Resource, SpecialToken
from numpy.typing import NDArray
from pydantic import Field

BOS, EOS = SpecialToken("<s>", 256), SpecialToken("</s>", 257)
#: Words with the space before them, and other characters.
PIECES = re.compile(r" ?\w+|\W")
#: The same for trusted text, which may contain special tokens.
TRUSTED = re.compile(r"</?s>| ?\w+|\W")


class NgramOptions(BackendOptions):
    """Options of `ngram`."""

    path: Resource = Field(description="text file in UTF-8; each line is a sequence")
    n: int = Field(3, ge=1, description="maximum number of tokens to count together")


class Ngrams:
    """The engine: the tokens of a text, and how often each token follows each context."""

    def __init__(self, options: NgramOptions) -> None:
        self.options = options
        text = Path(options.path).read_text("utf-8")
        lines = [line for line in text.split("\n") if line]
        self.identity = hashlib.sha256(f"{options.n} {text}".encode()).hexdigest()
        # Ids 0 to 255 are bytes. Then follow BOS, EOS and words, the most frequent ones first.
        pieces = Counter(piece for line in lines for piece in PIECES.findall(line))
        words = [word for word, _ in pieces.most_common() if len(word.encode()) > 1]
        self.surfaces = [*(bytes([byte]) for byte in range(256)), b"", b"", *map(str.encode, words)]
        self.ids = {word: [EOS.id + 1 + rank] for rank, word in enumerate(words)}
        self.ids |= {token.text: [token.id] for token in (BOS, EOS)}
        self.following: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for line in lines:
            tokens = [BOS.id, *self.encode(line), EOS.id]
            for end in range(1, len(tokens)):
                for begin in range(max(0, end - options.n + 1), end + 1):
                    self.following[tuple(tokens[begin:end])][tokens[end]] += 1

    def encode(self, text: str, pattern: re.Pattern[str] = PIECES) -> list[int]:
        """Return the ids of a text: those of words, and of the bytes of unknown words."""
        pieces = pattern.findall(text)
        return [token for piece in pieces for token in self.ids.get(piece) or piece.encode()]

    def logprobs(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the log-probability of every token as the next one after `tokens`."""
        size = len(self.surfaces)
        # Without counts, all tokens are equally likely, except for those in `tokens`.
        row = (1 + np.bincount(tokens, minlength=size)) / (size + len(tokens))
        # Witten-Bell smoothing: a longer context counts more the more often it occurs.
        for length in range(min(self.options.n, len(tokens) + 1)):
            seen = self.following.get(tuple(tokens[len(tokens) - length :]))
            if seen:
                weight = seen.total() + len(seen)
                row *= len(seen) / weight
                row[list(seen)] += np.array(list(seen.values())) / weight
        logs: NDArray[np.float32] = np.log(row).astype(np.float32)
        return logs


class NgramLM(ChoiceLM):
    """An n-gram model of a text file.

    :param engine: the engine that `create` loaded. Several models may share it.
    :param arguments: the arguments of every backend, for `ChoiceLM`.
    """

    Options = NgramOptions

    def __init__(self, *, engine: Ngrams, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.engine = engine

    @classmethod
    def create(cls, options: NgramOptions) -> dict[str, Any]:
        """Read the text and count its tokens."""
        return {"engine": Ngrams(options)}

    def tokenize_impl(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        pattern = TRUSTED if parse_special else PIECES
        return [self.engine.encode(text, pattern) for text in texts]

    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        return b"".join(self.engine.surfaces[token] for token in tokens)

    def vocabulary_impl(self) -> Sequence[bytes]:
        return self.engine.surfaces

    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        return self.engine.logprobs(tokens)

    def describe_impl(self) -> BackendInfo:
        options = self.engine.options
        return BackendInfo(
            name=f"{options.n}-grams of {Path(options.path).name}",
            vocabulary_size=len(self.engine.surfaces),
            bos=BOS.id,
            adds_bos=True,
            eos=(EOS.id,),
            special_tokens=(BOS, EOS),
            tolerance=1e-6,
            compute_fingerprint=lambda: self.engine.identity,
        )
