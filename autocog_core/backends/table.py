"""The backend `table`: distributions written by hand, for tests with exact expected numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from autocog_core.backends.byte_lm import ByteLM, ByteOptions
from autocog_core.errors import InputError
from autocog_core.types.backend_info import BackendInfo


class TableOptions(ByteOptions):
    """Options of `table`.

    `rows` maps a text (the whole sequence without BOS) to probabilities of the next token. Each
    token is named by its text, or `<|eos|>`. The other tokens share the remaining probability
    evenly. A text without a row has the uniform distribution. If sequences begin with BOS, so does
    a sequence without it.
    """

    rows: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="probabilities of the next token, by text"
    )

    @field_validator("rows")
    @classmethod
    def _check(cls, rows: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for text, row in rows.items():
            total = math.fsum(row.values())
            if any(p < 0 or math.isnan(p) for p in row.values()) or total > 1 + 1e-9:
                raise ValueError(f"the row after {text!r} is not a distribution (sum {total:g})")
        return rows


class TableLM(ByteLM):
    """A model that looks up the text of the prefix in `rows`.

    :param completion_kwargs: default arguments of completions.
    :param options: fields of `TableOptions`.
    """

    Options = TableOptions
    kind = "table"

    def __init__(
        self, *, completion_kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        self.settings = TableOptions(**options)
        super().__init__(self.settings, completion_kwargs)
        size = self.vocabulary.size
        self._uniform = np.full(size, -math.log(size), dtype=np.float32)
        self._rows = {
            text.encode("utf-8"): self._row(text, row) for text, row in self.settings.rows.items()
        }

    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        bos = self.vocabulary.bos
        if bos is not None and tokens[0] != bos:
            return self._uniform
        return self._rows.get(self.vocabulary.detokenize(tokens), self._uniform)

    def describe_impl(self) -> BackendInfo:
        info = super().describe_impl()
        if self._rows:
            return info
        # Without rows, no token changes the distribution.
        return replace(info, details={**info.details, "order": 0})

    def _row(self, text: str, row: Mapping[str, float]) -> NDArray[np.float32]:
        size = self.vocabulary.size
        listed = {self._token(text, name): probability for name, probability in row.items()}
        remainder = max(0.0, 1.0 - math.fsum(listed.values()))
        share = remainder / (size - len(listed)) if size > len(listed) and remainder > 1e-9 else 0.0
        probabilities = np.full(size, share)
        for token, probability in listed.items():
            probabilities[token] = probability
        with np.errstate(divide="ignore"):
            logprobs: NDArray[np.float32] = np.log(probabilities).astype(np.float32)
        return logprobs

    def _token(self, text: str, name: str) -> int:
        tokens = self.vocabulary.tokenize(name, parse_special=True)
        if len(tokens) != 1:
            raise InputError(
                f"{name!r} is {len(tokens)} tokens, not one", where=f"rows, after {text!r}"
            )
        return tokens[0]
