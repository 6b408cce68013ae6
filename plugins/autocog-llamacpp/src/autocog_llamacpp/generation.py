"""Completions: several samples side by side, stops on bytes, the model's own log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autocog_core import Completion, CompletionRequest, InputError, NumericsError
from autocog_core.toolkit import (
    CompletionBuilder,
    logsumexp_row,
    reject_unknown_options,
    sample_token,
)

if TYPE_CHECKING:
    from autocog_llamacpp.engine import LlamaEngine

PENALTY = "repetition_penalty"


def generate(engine: LlamaEngine, prompt: Sequence[int], request: CompletionRequest) -> Completion:
    """Continue `prompt`.

    :raises CapabilityError: for an option that this engine does not know.
    :raises InputError: for a `repetition_penalty` that is no positive number.
    """
    reject_unknown_options(request.extra, {PENALTY}, engine.name)
    penalty = _checked(request.extra.get(PENALTY, 1.0))
    # Without sampling all alternatives are the same: one is computed.
    count = request.n if request.temperature > 0 else 1
    samples = [_Sample(engine, prompt, request, number, penalty) for number in range(count)]
    cells = engine.context.cells - len(prompt)
    together = engine.session.together(cells // request.max_tokens)
    for begin in range(0, count, together):
        _run(engine, prompt, samples[begin : begin + together])
    first, *others = [sample.growing.completion() for sample in samples]
    if count < request.n:
        others = [first] * (request.n - 1)
    return replace(first, alternatives=tuple(others))


def _run(engine: LlamaEngine, prompt: Sequence[int], samples: Sequence[_Sample]) -> None:
    """Let several samples grow token by token, all in one batch."""
    session = engine.session
    handles: list[int] = []
    others = session.lent
    try:
        row = session.open(prompt, len(samples), handles)
        for sample in samples:
            sample.take(row)
        while live := [
            (sample, handle)
            for sample, handle in zip(samples, handles, strict=True)
            if not sample.growing.is_done
        ]:
            last = [sample.growing.tokens[-1] for sample, _ in live]
            rows = session.step([handle for _, handle in live], last)
            for (sample, _), logits in zip(live, rows, strict=True):
                sample.take(logits)
    finally:
        session.lent = others
        session.release(handles, [sample.growing.tokens for sample in samples])


class _Sample:
    """One completion with the random numbers and the penalties that pick its tokens."""

    def __init__(
        self,
        engine: LlamaEngine,
        prompt: Sequence[int],
        request: CompletionRequest,
        number: int,
        penalty: float,
    ) -> None:
        tokenizer = engine.tokenizer
        self.growing = CompletionBuilder(request, tokenizer.detokenize, tokenizer.eos, number)
        self._name = engine.name
        self._request = request
        seed = engine.seed if request.seed is None else request.seed
        self._generator = np.random.default_rng(None if seed is None else [seed, number])
        self._penalty = penalty
        self._seen = set(prompt) if penalty != 1 else set()

    def take(self, logits: NDArray[np.float32]) -> None:
        """Pick the next token from logits (V,)."""
        whole = logsumexp_row(logits)
        if np.isnan(whole):
            raise NumericsError(
                "the model's logits are NaN", where=self._name, hint="the file may be damaged"
            )
        token = sample_token(self._penalised(logits), self._request, self._generator)
        if self._penalty != 1:
            self._seen.add(token)
        self.growing.append(token, float(logits[token]) - whole)

    def _penalised(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits with those of all tokens so far made smaller, as Transformers does it."""
        if not self._seen:
            return logits
        ids = np.fromiter(self._seen, dtype=np.int64)
        changed = logits.copy()
        scores = changed[ids]
        changed[ids] = np.where(scores < 0, scores * self._penalty, scores / self._penalty)
        return changed


def _checked(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise InputError(f"expected a number above 0, got {value!r}", where=PENALTY)
