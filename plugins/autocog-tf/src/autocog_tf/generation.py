"""Completions through Transformers' `generate`: stops on bytes, the model's own log-probs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache, GenerationConfig, StoppingCriteria, StoppingCriteriaList

from autocog_core import Completion, CompletionRequest, NumericsError
from autocog_core.toolkit import CompletionBuilder, reject_unknown_options
from autocog_tf.evaluators.attention import AttentionEvaluator
from autocog_tf.evaluators.evaluator import OWN_CACHE_NAME
from autocog_tf.evaluators.out_of_memory import free_memory, is_out_of_memory, out_of_memory_error

if TYPE_CHECKING:
    from autocog_tf.engine import TfEngine

#: Options of `generate` that are passed through under their own names.
ENGINE_OPTIONS = frozenset({"repetition_penalty", "no_repeat_ngram_size", "typical_p"})
#: A shorter kept beginning is not worth copying.
MIN_REUSED_PREFIX = 16


def generate(engine: TfEngine, prompt: Sequence[int], request: CompletionRequest) -> Completion:
    """Continue `prompt`.

    :raises CapabilityError: for an option that this engine does not know.
    """
    reject_unknown_options(request.extra, ENGINE_OPTIONS, engine.name)
    sampled = request.temperature > 0
    # Without sampling all alternatives are the same: one is computed.
    count = request.n if sampled else 1

    with torch.inference_mode(), _seeded(request.seed, engine.forward.device):
        found = _with_less_memory(engine, prompt, count, request)
    first, *others = found if sampled else found * request.n
    return replace(first, alternatives=tuple(others))


def _with_less_memory(
    engine: TfEngine, prompt: Sequence[int], count: int, request: CompletionRequest
) -> list[Completion]:
    """All samples, in smaller batches when memory is out; a stream is never begun again.

    :raises OutOfMemoryError: when a single sample does not fit.
    """
    found: list[Completion] = []
    size = count
    freed = False
    while len(found) < count:
        watcher = _StepRecorder(engine, min(size, count - len(found)), request)
        try:
            _run(engine, prompt, watcher.count, request, watcher)
            found += watcher.completions()
            continue
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            cause = error.with_traceback(None)
        free_memory(engine.selection.evaluator)
        if watcher.streamed or (size == 1 and freed):
            raise out_of_memory_error() from cause
        size, freed = max(1, size // 2), True
    return found


def _run(
    engine: TfEngine,
    prompt: Sequence[int],
    count: int,
    request: CompletionRequest,
    watcher: _StepRecorder,
) -> None:
    model = engine.model
    device = engine.forward.device
    sampled = request.temperature > 0
    info = engine.info
    tokens = torch.tensor([list(prompt)], device=device)
    config = GenerationConfig(
        max_new_tokens=request.max_tokens,
        do_sample=sampled,
        temperature=request.temperature if sampled else None,
        top_k=request.top_k if sampled else None,
        top_p=request.top_p if sampled else None,
        min_p=request.min_p if sampled and request.min_p > 0 else None,
        num_return_sequences=count,
        eos_token_id=list(info.eos) or None,
        pad_token_id=info.eos[0] if info.eos else 0,
        **request.extra,
    )
    arguments: dict[str, Any] = {}
    cache = _copy_cached_prefix(engine, prompt, count)
    if cache is not None:
        arguments[OWN_CACHE_NAME] = cache
    hook = model.register_forward_hook(watcher.on_forward)
    try:
        with _without_checkpoint_defaults(model):
            model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                generation_config=config,
                stopping_criteria=StoppingCriteriaList([watcher]),
                **arguments,
            )
    finally:
        hook.remove()


def _copy_cached_prefix(engine: TfEngine, prompt: Sequence[int], count: int) -> DynamicCache | None:
    """Keys and values of the prompt's beginning that are kept already, for `count` samples."""
    evaluator = engine.selection.evaluator
    if not isinstance(evaluator, AttentionEvaluator) or not evaluator.one_kind:
        return None
    tree, nodes = evaluator.longest_cached_prefix(prompt[:-1])
    if tree is None or len(nodes) < MIN_REUSED_PREFIX:
        return None
    index = torch.tensor(nodes, device=engine.forward.device)
    cache = DynamicCache(config=engine.model.config)
    for number, layer in enumerate(tree.layers):
        keys = layer.keys.index_select(2, index).repeat_interleave(count, dim=0)
        values = layer.values.index_select(2, index).repeat_interleave(count, dim=0)
        cache.update(keys, values, number)
    return cache


@contextmanager
def _seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """The seed for this call alone: the caller's random state is left as it was."""
    if seed is None:
        yield
        return
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def _without_checkpoint_defaults(model: Any) -> Iterator[None]:
    """A checkpoint's own generation defaults (penalties, top_k) must not slip into a request."""
    own = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


class _StepRecorder(StoppingCriteria):
    """Sees every step: log-probabilities from the raw logits, stops, and pieces of text."""

    def __init__(self, engine: TfEngine, count: int, request: CompletionRequest) -> None:
        self.count = count
        self._name = engine.name
        detokenize, eos = engine.tokenizer.detokenize, set(engine.info.eos)
        self._growing = [
            CompletionBuilder(request, detokenize, eos, number) for number in range(count)
        ]
        self._logits: torch.Tensor | None = None

    @property
    def streamed(self) -> bool:
        """Whether any text was passed on."""
        return self._growing[0].streamed

    def on_forward(self, module: Any, arguments: Any, output: Any) -> None:
        """Forward hook: keep the logits of the last position, as the model gave them."""
        self._logits = output.logits[:, -1].float()
        # Before a token is picked: the likeliest of NaN would look like an answer.
        if torch.isnan(self._logits).any():
            raise NumericsError(
                "the model's logits are NaN",
                where=self._name,
                hint="the weights may be damaged, or the dtype too narrow for this model",
            )

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        """Take the tokens of one step; True for the samples that are done."""
        assert self._logits is not None
        chosen = input_ids[:, -1]
        raw = self._logits.gather(1, chosen.to(self._logits.device)[:, None])[:, 0]
        totals = torch.logsumexp(self._logits, dim=-1)
        values = (raw.cpu().double() - totals.cpu().double()).tolist()
        for growing, token, value in zip(self._growing, chosen.tolist(), values, strict=True):
            if not growing.is_done:
                growing.append(token, value)
        done = [growing.is_done for growing in self._growing]
        return torch.tensor(done, device=input_ids.device)

    def completions(self) -> list[Completion]:
        """One completion a sample."""
        return [growing.completion() for growing in self._growing]
