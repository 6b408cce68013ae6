"""A small model that writes JSON: bytes, and tokens that run across the ends of its texts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autocog_core import hookimpl
from autocog_core.numerics import log_softmax
from autocog_core.types.backend_info import BackendInfo, SpecialToken

PIECES = (
    *('",', '"}', '"]', '": "', '": ', '", "', "]}", "},", "}}", "[]", "{}", '{"', '["', '[{"'),
    *(' "', " [", " {", ' {"', " 1", " 12", "10", "100", "},", "],", ', "', " true", " false"),
    *(" null", "ab", "an", "na", "2024", "-0", "0.", "\\n", "\\u", "\n\n", '"\n', "}\n"),
)
#: Texts that the model likes, so that strings and numbers come to an end.
ENDS = ('"', ",", "}", "]", "\n")


class JsonModel:
    """Rows seeded by the tokens; the tokenizer takes the longest token that fits."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.surfaces = [bytes([value]) for value in range(256)]
        self.surfaces += [piece.encode() for piece in dict.fromkeys(PIECES)]
        self.longest_first = sorted(self.surfaces, key=len, reverse=True)
        self.ids = {surface: token for token, surface in enumerate(self.surfaces)}
        first = len(self.surfaces)
        self.surfaces += [b"", b""]
        self.info = BackendInfo(
            name="json",
            vocabulary_size=len(self.surfaces),
            bos=first,
            adds_bos=True,
            eos=(first + 1,),
            special_tokens=(SpecialToken("<|bos|>", first), SpecialToken("<|eos|>", first + 1)),
            tolerance=1e-6,
        )
        likes = [surface.decode("latin-1").startswith(ENDS) for surface in self.surfaces]
        is_text = [surface.isascii() and surface.isalnum() for surface in self.surfaces]
        self.bonus = 3.0 * np.array(likes) + 1.5 * np.array(is_text)

    @hookimpl
    def describe(self) -> BackendInfo:
        return self.info

    @hookimpl
    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        return [self._tokenize(text.encode()) for text in texts]

    @hookimpl
    def detokenize(self, tokens: Sequence[int]) -> bytes:
        return b"".join(self.surfaces[token] for token in tokens)

    @hookimpl
    def vocabulary(self) -> list[bytes]:
        return self.surfaces

    @hookimpl
    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        seed = random.Random(f"{self.seed} {list(tokens)}").getrandbits(64)
        generator = np.random.Generator(np.random.PCG64(seed))
        return log_softmax(generator.standard_normal(len(self.surfaces)) * 1.5 + self.bonus)

    def _tokenize(self, raw: bytes) -> list[int]:
        tokens: list[int] = []
        while raw:
            surface = next(each for each in self.longest_first if raw.startswith(each))
            tokens.append(self.ids[surface])
            raw = raw[len(surface) :]
        return tokens
