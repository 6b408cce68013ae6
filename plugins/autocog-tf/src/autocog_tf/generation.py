"""Completions by Transformers' `generate`, with stop strings on bytes and raw log-probabilities."""

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
from autocog_tf.evaluators.evaluator import GENERATE_CACHE
from autocog_tf.evaluators.out_of_memory import free_memory, is_out_of_memory, out_of_memory_error

if TYPE_CHECKING:
    from autocog_tf.engine import TfEngine

#: Options of `generate` that are passed through under their own names.
ENGINE_OPTIONS = frozenset({"repetition_penalty", "no_repeat_ngram_size", "typical_p"})
#: Shorter cached prefixes are not worth a copy.
MIN_REUSED_PREFIX = 16


def generate(engine: TfEngine, prompt: Sequence[int], request: CompletionRequest) -> Completion:
    """Return the completion of a prompt.

    :param engine: the engine.
    :param prompt: its token ids.
    :param request: all other arguments; its prompt is ignored.
    :raises CapabilityError: for an option that this engine does not support.
    :raises NumericsError: if the model's logits are NaN.
    :raises OutOfMemoryError: if a single sample does not fit.
    """
    reject_unknown_options(request.extra, ENGINE_OPTIONS, engine.name)
    is_sampled = request.temperature > 0
    # Without sampling all alternatives are equal: compute one.
    count = request.n if is_sampled else 1

    with torch.inference_mode(), _seeded(request.seed, engine.forward.device):
        completions = _complete_in_batches(engine, prompt, count, request)
    first, *others = completions if is_sampled else completions * request.n
    return replace(first, alternatives=tuple(others))


def _complete_in_batches(
    engine: TfEngine, prompt: Sequence[int], count: int, request: CompletionRequest
) -> list[Completion]:
    """Return all samples, in smaller batches if memory is full; a stream is never restarted."""
    completions: list[Completion] = []
    batch_size = count
    has_freed_memory = False
    while len(completions) < count:
        recorder = _StepRecorder(engine, min(batch_size, count - len(completions)), request)
        try:
            _run(engine, prompt, request, recorder)
            completions += recorder.completions()
            continue
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            cause = error.with_traceback(None)
        free_memory(engine.selection.evaluator)
        if recorder.streamed or (batch_size == 1 and has_freed_memory):
            raise out_of_memory_error() from cause
        batch_size, has_freed_memory = max(1, batch_size // 2), True
    return completions


def _run(
    engine: TfEngine, prompt: Sequence[int], request: CompletionRequest, recorder: _StepRecorder
) -> None:
    """Run `generate` for as many samples as the recorder has."""
    model = engine.model
    tokens = torch.tensor([list(prompt)], device=engine.forward.device)
    arguments: dict[str, Any] = {}
    cache = _copy_cached_prefix(engine, prompt, recorder.count)
    if cache is not None:
        arguments[GENERATE_CACHE] = cache
    config = _generation_config(engine, request, recorder.count)
    hook = model.register_forward_hook(recorder.on_forward)
    try:
        with _without_checkpoint_defaults(model):
            model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                generation_config=config,
                stopping_criteria=StoppingCriteriaList([recorder]),
                **arguments,
            )
    finally:
        hook.remove()


def _generation_config(
    engine: TfEngine, request: CompletionRequest, count: int
) -> GenerationConfig:
    is_sampled = request.temperature > 0
    eos = engine.info.eos
    return GenerationConfig(
        max_new_tokens=request.max_tokens,
        do_sample=is_sampled,
        temperature=request.temperature if is_sampled else None,
        top_k=request.top_k if is_sampled else None,
        top_p=request.top_p if is_sampled else None,
        min_p=request.min_p if is_sampled and request.min_p > 0 else None,
        num_return_sequences=count,
        eos_token_id=list(eos) or None,
        pad_token_id=eos[0] if eos else 0,
        **request.extra,
    )


def _copy_cached_prefix(engine: TfEngine, prompt: Sequence[int], count: int) -> DynamicCache | None:
    """Return keys and values of the longest cached prefix, for `count` samples; None if short."""
    evaluator = engine.selection.evaluator
    if not isinstance(evaluator, AttentionEvaluator) or not evaluator.has_full_attention:
        return None
    tree, nodes = evaluator.longest_cached_prefix(prompt[:-1])
    if tree is None or len(nodes) < MIN_REUSED_PREFIX:
        return None
    index = torch.tensor(nodes, device=engine.forward.device)
    cache = DynamicCache(config=engine.model.config)
    for layer_index, layer in enumerate(tree.layers):
        # (1, heads, nodes, width) to (count, heads, prefix, width)
        keys = layer.keys.index_select(2, index).repeat_interleave(count, dim=0)
        values = layer.values.index_select(2, index).repeat_interleave(count, dim=0)
        cache.update(keys, values, layer_index)
    return cache


@contextmanager
def _seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Seed torch inside the context; restore the caller's random state after it."""
    if seed is None:
        yield
        return
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def _without_checkpoint_defaults(model: Any) -> Iterator[None]:
    """Hide the checkpoint's generation defaults: penalties that the request does not have."""
    defaults = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = defaults


class _StepRecorder(StoppingCriteria):
    """Records the steps of `generate`: tokens, log-probabilities from raw logits, stop strings.

    :ivar count: number of samples.
    """

    def __init__(self, engine: TfEngine, count: int, request: CompletionRequest) -> None:
        self.count = count
        self._name = engine.name
        detokenize, eos = engine.tokenizer.detokenize, set(engine.info.eos)
        self._builders = [
            CompletionBuilder(request, detokenize, eos, index) for index in range(count)
        ]
        self._logits: torch.Tensor | None = None

    @property
    def streamed(self) -> bool:
        """Whether any text was passed to the caller."""
        return self._builders[0].streamed

    def on_forward(self, module: Any, arguments: Any, output: Any) -> None:
        """Forward hook: record the raw logits of the last position, (samples, V)."""
        self._logits = output.logits[:, -1].float()
        # Before a token is picked: the likeliest of NaN would look like an answer.
        if torch.isnan(self._logits).any():
            raise NumericsError(
                "the model's logits are NaN",
                where=self._name,
                hint="check the weights, or use a wider dtype",
            )

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        """Append the tokens of one step; return which samples are done, bool (samples,)."""
        assert self._logits is not None
        tokens = input_ids[:, -1]
        raw = self._logits.gather(1, tokens.to(self._logits.device)[:, None])[:, 0]
        totals = torch.logsumexp(self._logits, dim=-1)
        logprobs = (raw.cpu().double() - totals.cpu().double()).tolist()
        for builder, token, logprob in zip(self._builders, tokens.tolist(), logprobs, strict=True):
            if not builder.is_done:
                builder.append(token, logprob)
        is_done = [builder.is_done for builder in self._builders]
        return torch.tensor(is_done, device=input_ids.device)

    def completions(self) -> list[Completion]:
        """Return one completion for each sample."""
        return [builder.completion() for builder in self._builders]
