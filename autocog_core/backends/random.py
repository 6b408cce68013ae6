"""The backend `random`: a random distribution for each prefix, always the same one for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from autocog_core.backends.byte_lm import ByteLM, ByteOptions
from autocog_core.numerics import log_softmax


class RandomOptions(ByteOptions):
    """Options of `random`."""

    seed: int = Field(default=0, description="another seed is another model")
    scale: float = Field(
        default=2.0, ge=0, description="standard deviation of the logits; 0 is uniform"
    )


class RandomLM(ByteLM):
    """A model with normally distributed logits, seeded by the tokens of the prefix.

    :param completion_kwargs: default arguments of completions.
    :param options: fields of `RandomOptions`.
    """

    Options = RandomOptions
    kind = "random"

    def __init__(
        self, *, completion_kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        self.settings = RandomOptions(**options)
        super().__init__(self.settings, completion_kwargs)

    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        raw = np.asarray(tokens, dtype=np.int32).tobytes()
        digest = hashlib.blake2b(raw, digest_size=16, salt=self._salt()).digest()
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
        logits = generator.standard_normal(self.vocabulary.size) * self.settings.scale
        return log_softmax(logits)

    def _salt(self) -> bytes:
        return (self.settings.seed % 2**64).to_bytes(8, "little")
