"""The speed and the numbers of a model file on this machine, in about a second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from autocog_core import ModelLoadError
from autocog_core.toolkit import log_softmax
from autocog_llamacpp.llama.context import Context

_TEXT = (
    "A crew that restores old sailing ships has to lift a mast of two tons out of the hull. They "
    "have no engine on board, but ropes, wheels with a groove, and ten strong people. Which simple "
    "machine will help them the most, and why? The oldest of them remembers a winter in the north, "
    "when they raised a bell of the same weight with a tackle of six wheels and one horse.\n"
)
#: Tokens of a probe's context: those of the prompt and of the steps.
PROBE_CELLS = 256
_STEP_TOKENS = 8
#: If a step takes longer, the model is large: fewer tokens say enough.
_SLOW_STEP_SECONDS = 0.2
_BUDGET_SECONDS = 1.0
_MAX_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Workload:
    """What is timed: a prompt in one decode, and steps of 8 tokens, as below it in a tree."""

    prompt_tokens: int
    steps: int


_USUAL, _SHORT = Workload(96, 4), Workload(24, 1)


class SpeedProbe:
    """A model whose decodes are timed.

    :param context: an empty context of at least `PROBE_CELLS` cells.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tokens = _probe_tokens(context.model.pointer)

    def warm_up(self) -> Workload:
        """Read the weights into memory; return what is to be timed for a model of this speed."""
        self._decode(0, _STEP_TOKENS)
        self._context.clear()
        start = time.perf_counter()
        self._decode(0, _STEP_TOKENS)
        seconds = time.perf_counter() - start
        self._context.clear()
        return _SHORT if seconds > _SLOW_STEP_SECONDS else _USUAL

    def seconds(self, work: Workload) -> float:
        """Return the time of the workload."""
        start = time.perf_counter()
        position = self._decode(0, work.prompt_tokens)[0]
        for _ in range(work.steps):
            position = self._decode(position, _STEP_TOKENS)[0]
        seconds = time.perf_counter() - start
        self._context.clear()
        return seconds

    def logprobs(self, work: Workload) -> NDArray[np.float32]:
        """Return float32 (V,): the log-probability of every token after the prompt."""
        row = self._decode(0, work.prompt_tokens)[1].copy()
        self._context.clear()
        return log_softmax(row)

    def _decode(self, start: int, count: int) -> tuple[int, NDArray[np.float32]]:
        """Decode tokens from a position on; return the next position and the last logits."""
        index = np.arange(count, dtype=np.int32)
        needs_logits = index == count - 1
        tokens = np.resize(self._tokens, PROBE_CELLS)[start : start + count].copy()
        zeros = np.zeros(count, np.int32)
        logits = self._context.decode(
            tokens, index + np.int32(start), zeros, index, index + 1, needs_logits
        )
        return start + count, logits[0]


def compare_speeds(probes: Sequence[SpeedProbe]) -> list[float]:
    """Return the shortest time of each model, in seconds, measured in alternation."""
    works = [probe.warm_up() for probe in probes]
    work = works[0]
    best = [float("inf")] * len(probes)
    begin = time.perf_counter()
    for _ in range(_MAX_ROUNDS):
        best = [min(b, probe.seconds(work)) for b, probe in zip(best, probes, strict=True)]
        if time.perf_counter() - begin > _BUDGET_SECONDS:
            break
    return best


def largest_difference(probe: SpeedProbe, reference: SpeedProbe, top: int = 10) -> float:
    """Return the largest difference of the likeliest tokens' log-probabilities, in nats.

    :param top: the number of tokens, the likeliest of `reference`.
    :returns: infinity if a number is not finite.
    """
    expected, found = reference.logprobs(_SHORT), probe.logprobs(_SHORT)
    ids = np.argsort(expected)[-top:]
    difference = np.abs(expected[ids] - found[ids]).max()
    is_finite = np.isfinite(found[ids]).all() and np.isfinite(difference)
    return float(difference) if is_finite else float("inf")


def _probe_tokens(pointer: Any) -> NDArray[np.int32]:
    vocab = llama_cpp.llama_model_get_vocab(pointer)
    text = _TEXT.encode()
    buffer = (llama_cpp.llama_token * (len(text) + 2))()
    count = llama_cpp.llama_tokenize(vocab, text, len(text), buffer, len(buffer), True, False)
    if count < 1:
        raise ModelLoadError("the model's tokenizer refuses English text", where="weights")
    return np.array(buffer[:count], dtype=np.int32)
