"""Completions: several samples side by side, stops on bytes, the model's own log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autocog_core import Completion, CompletionRequest, NumericsError
from autocog_core.answers import total
from autocog_core.completion import refuse_unknown
from autocog_core.errors import InputError
from autocog_core.sampling import pick
from autocog_core.stops import StopMatcher
from autocog_core.types import Finish

if TYPE_CHECKING:
    from autocog_llamacpp.engine import LlamaEngine

PENALTY = "repetition_penalty"


def generate(engine: LlamaEngine, prompt: Sequence[int], request: CompletionRequest) -> Completion:
    """Continue `prompt`.

    :raises CapabilityError: for an option that this engine does not know.
    :raises InputError: for a `repetition_penalty` that is no positive number.
    """
    refuse_unknown(request.extra, {PENALTY}, engine.name)
    penalty = _checked(request.extra.get(PENALTY, 1.0))
    # Without sampling all alternatives are the same: one is computed.
    count = request.n if request.temperature > 0 else 1
    samples = [_Sample(engine, prompt, request, number, penalty) for number in range(count)]
    cells = engine.context.cells - len(prompt)
    together = engine.evaluator.together(cells // request.max_tokens)
    for begin in range(0, count, together):
        _run(engine, prompt, samples[begin : begin + together])
    first, *others = [sample.completion() for sample in samples]
    if count < request.n:
        others = [first] * (request.n - 1)
    return replace(first, alternatives=tuple(others))


def _run(engine: LlamaEngine, prompt: Sequence[int], samples: Sequence[_Sample]) -> None:
    """Let several samples grow token by token, all in one batch."""
    evaluator = engine.evaluator
    handles: list[int] = []
    try:
        row = evaluator.open(prompt, len(samples), handles)
        for sample in samples:
            sample.take(row)
        while live := [
            (sample, handle)
            for sample, handle in zip(samples, handles, strict=True)
            if not sample.done
        ]:
            rows = evaluator.step([handle for _, handle in live], [s.tokens[-1] for s, _ in live])
            for (sample, _), logits in zip(live, rows, strict=True):
                sample.take(logits)
    finally:
        evaluator.release(handles, [sample.tokens for sample in samples])


class _Sample:
    """One completion as it grows."""

    def __init__(
        self,
        engine: LlamaEngine,
        prompt: Sequence[int],
        request: CompletionRequest,
        number: int,
        penalty: float,
    ) -> None:
        self.tokens: list[int] = []
        self._logprobs: list[float] = []
        self._finish: Finish | None = None
        self._name = engine.name
        self._detokenize = engine.tokenizer.detokenize
        self._eos = set(engine.tokenizer.eos)
        self._request = request
        self._matcher = StopMatcher(request.stop)
        self._on_text = request.on_text if number == 0 else None
        seed = engine.seed if request.seed is None else request.seed
        self._generator = np.random.default_rng(None if seed is None else [seed, number])
        self._penalty = penalty
        self._seen = set(prompt) if penalty != 1 else set()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._finish is not None

    def take(self, logits: NDArray[np.float32]) -> None:
        """Pick the next token from logits (V,)."""
        whole = total(logits)
        if np.isnan(whole):
            raise NumericsError(
                "the model's logits are NaN", where=self._name, hint="the file may be damaged"
            )
        token = pick(self._penalised(logits), self._request, self._generator)
        self.tokens.append(token)
        self._logprobs.append(min(0.0, float(logits[token]) - whole))
        if self._penalty != 1:
            self._seen.add(token)
        if token in self._eos:
            self._finish = "eos"
        elif self._matcher.feed(self._detokenize([token])):
            self._finish = "stop"
        elif len(self.tokens) == self._request.max_tokens:
            self._finish = "length"
        self._show()

    def completion(self) -> Completion:
        """What was written."""
        matcher = self._matcher
        return Completion(
            matcher.text(),
            tuple(self.tokens),
            tuple(self._logprobs),
            self._finish or "length",
            matcher.stop,
        )

    def _penalised(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits with those of all tokens so far made smaller, as Transformers does it."""
        if not self._seen:
            return logits
        ids = np.fromiter(self._seen, dtype=np.int64)
        changed = logits.copy()
        scores = changed[ids]
        changed[ids] = np.where(scores < 0, scores * self._penalty, scores / self._penalty)
        return changed

    def _show(self) -> None:
        """Pass on what can no longer turn out to be part of a stop."""
        if self._on_text is not None and (piece := self._matcher.showable(self.done)):
            self._on_text(piece)


def _checked(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise InputError(f"expected a number above 0, got {value!r}", where=PENALTY)
