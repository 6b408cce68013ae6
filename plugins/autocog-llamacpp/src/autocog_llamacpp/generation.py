"""Completions: samples grow in parallel, with the log-probabilities of the unchanged model."""

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

PENALTY_OPTION = "repetition_penalty"


def generate(engine: LlamaEngine, prompt: Sequence[int], request: CompletionRequest) -> Completion:
    """Complete `prompt`.

    :param prompt: the ids of the prompt.
    :raises CapabilityError: for an option that this engine does not support.
    :raises InputError: if `repetition_penalty` is not a positive number.
    """
    reject_unknown_options(request.extra, {PENALTY_OPTION}, engine.name)
    penalty = _check_penalty(request.extra.get(PENALTY_OPTION, 1.0))
    # Without sampling, all alternatives are equal: compute one.
    count = request.n if request.temperature > 0 else 1
    samples = [_Sample(engine, prompt, request, index, penalty) for index in range(count)]
    cells = engine.context.cells - len(prompt)
    parallel = engine.session.max_parallel(cells // request.max_tokens)
    for begin in range(0, count, parallel):
        _complete(engine, prompt, samples[begin : begin + parallel])
    first, *others = [sample.builder.completion() for sample in samples]
    if count < request.n:
        others = [first] * (request.n - 1)
    return replace(first, alternatives=tuple(others))


def _complete(engine: LlamaEngine, prompt: Sequence[int], samples: Sequence[_Sample]) -> None:
    """Extend the samples until all are done, one token of each sample in a batch."""
    session = engine.session
    handles: list[int] = []
    was_in_use = session.in_use
    try:
        row = session.start(prompt, len(samples), handles)
        for sample in samples:
            sample.receive(row)
        while active := [
            (sample, handle)
            for sample, handle in zip(samples, handles, strict=True)
            if not sample.builder.is_done
        ]:
            last = [sample.builder.tokens[-1] for sample, _ in active]
            rows = session.step([handle for _, handle in active], last)
            for (sample, _), logits in zip(active, rows, strict=True):
                sample.receive(logits)
    finally:
        session.in_use = was_in_use
        session.finish(handles, [sample.builder.tokens for sample in samples])


class _Sample:
    """A completion with its random generator and the tokens that it penalizes."""

    def __init__(
        self,
        engine: LlamaEngine,
        prompt: Sequence[int],
        request: CompletionRequest,
        index: int,
        penalty: float,
    ) -> None:
        tokenizer = engine.tokenizer
        self.builder = CompletionBuilder(request, tokenizer.detokenize, tokenizer.eos, index)
        self._model_name = engine.name
        self._request = request
        seed = engine.seed if request.seed is None else request.seed
        self._generator = np.random.default_rng(None if seed is None else [seed, index])
        self._penalty = penalty
        self._penalized = set(prompt) if penalty != 1 else set()

    def receive(self, logits: NDArray[np.float32]) -> None:
        """Sample the next token from logits (V,), and append it."""
        normalizer = logsumexp_row(logits)
        if np.isnan(normalizer):
            raise NumericsError(
                "the model's logits are NaN", where=self._model_name, hint="the file may be damaged"
            )
        token = sample_token(self._penalize(logits), self._request, self._generator)
        if self._penalty != 1:
            self._penalized.add(token)
        self.builder.append(token, float(logits[token]) - normalizer)

    def _penalize(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reduce the logits of all tokens so far, as Transformers does."""
        if not self._penalized:
            return logits
        ids = np.fromiter(self._penalized, dtype=np.int64)
        penalized = logits.copy()
        scores = penalized[ids]
        penalized[ids] = np.where(scores < 0, scores * self._penalty, scores / self._penalty)
        return penalized


def _check_penalty(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise InputError(f"expected a number above 0, got {value!r}", where=PENALTY_OPTION)
