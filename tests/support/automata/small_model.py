"""A model of two dozen tokens, in which the hard cases of tokenization are common."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autocog_core import hookimpl
from autocog_core.numerics import log_softmax
from autocog_core.types.backend_info import BackendInfo, SpecialToken

#: Bytes, and merges of them: blanks that belong to what follows, tokens in which a stop begins or
#: ends, tokens that hold the end of one character and the beginning of another.
SURFACES = (
    *(b"a", b"b", b".", b" ", b"\n", b"1", b"0", b"\xc3", b"\xa9"),
    *(b"ab", b"ba", b"aba", b" a", b".\n", b"b.", b"10", b"100", b"a1"),
    *(b" \xc3", b"\xa9b", b"\xc3\xa9.", b".\xc3", b"\xa9\xc3", b"\xa9.", b"\xa9a", b"\xa9 "),
    # What undecodable bytes become.
    "\N{REPLACEMENT CHARACTER}".encode(),
)
#: What "a" is at the beginning of a sequence.
FIRST_A = len(SURFACES)
SPECIAL = ("<|bos|>", "<|eos|>", "<|end|>", "<|mark|>")


class SmallModel:
    """Rows seeded by the tokens; the tokenizer takes the longest token that fits.

    :param bos: whether sequences begin with BOS. `ends`: how many of its tokens end a sequence.
    :param scale: standard deviation of the logits; 0 for rows in which many tokens are alike.
    """

    def __init__(self, seed: int, *, bos: bool = True, ends: int = 1, scale: float = 1.5) -> None:
        self.seed = seed
        self.scale = scale
        first = FIRST_A + 1
        self.surfaces = [*SURFACES, b"a", *(b"" for _ in SPECIAL)]
        self.special = {text: first + i for i, text in enumerate(SPECIAL)}
        self.info = BackendInfo(
            name="small",
            vocabulary_size=len(self.surfaces),
            bos=first,
            adds_bos=bos,
            eos=tuple(range(first + 1, first + 1 + ends)),
            special_tokens=tuple(SpecialToken(text, i) for text, i in self.special.items()),
            tolerance=1e-6,
        )

    @hookimpl
    def describe(self) -> BackendInfo:
        return self.info

    @hookimpl
    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        return [self._tokenize(text, at_start, parse_special) for text in texts]

    @hookimpl
    def detokenize(self, tokens: Sequence[int]) -> bytes:
        return b"".join(self.surfaces[token] for token in tokens)

    @hookimpl
    def vocabulary(self) -> list[bytes]:
        return self.surfaces

    @hookimpl
    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        generator = random.Random(f"{self.seed} {list(tokens)}")
        size = len(self.surfaces)
        if self.scale:
            logits = [generator.gauss(0.0, self.scale) for _ in range(size)]
        else:
            # The same few numbers in another order: equal sums along different paths are common.
            logits = [float(i % 3) for i in range(size)]
            generator.shuffle(logits)
        if self.detokenize(tokens).endswith(b"\xc3"):
            # It tends to end the characters that it begins.
            logits = [
                logit + 3.0 * surface.startswith(b"\xa9")
                for logit, surface in zip(logits, self.surfaces, strict=True)
            ]
        logits[self.special["<|mark|>"]] += 1.5
        return log_softmax(np.array(logits))

    def _tokenize(self, text: str, at_start: bool, parse_special: bool) -> list[int]:
        tokens: list[int] = []
        parts = re.split("(" + "|".join(map(re.escape, SPECIAL)) + ")", text)
        for part in parts if parse_special else [text]:
            if parse_special and part in self.special:
                tokens.append(self.special[part])
                continue
            raw = part.encode()
            while raw:
                surface = max(filter(raw.startswith, SURFACES), key=len)
                first = at_start and not tokens and surface == b"a"
                tokens.append(FIRST_A if first else SURFACES.index(surface))
                raw = raw[len(surface) :]
        return tokens
