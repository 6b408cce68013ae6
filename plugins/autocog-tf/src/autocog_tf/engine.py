"""TfEngine: a loaded model and tokenizer, with their lock and caches."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from autocog_core import BackendInfo, ClosedError, TreeQuery, TreeScores
from autocog_core.toolkit import (
    LogitsCache,
    lazy,
    warn_of_spinning,
)
from autocog_tf import fingerprint
from autocog_tf.evaluators.attention import AttentionEvaluator
from autocog_tf.evaluators.batch_plan import CostModel
from autocog_tf.evaluators.evaluator import Evaluator, Forward
from autocog_tf.evaluators.kept_verdict import read_verdict, verdict_file, write_verdict
from autocog_tf.evaluators.out_of_memory import retry_with_smaller_batches
from autocog_tf.evaluators.recurrent import RecurrentEvaluator
from autocog_tf.evaluators.selection import (
    SelectionResult,
    confirm_verdict,
    select_evaluator,
)
from autocog_tf.evaluators.tree_scores import RowCollector, TorchScoreCollector
from autocog_tf.forks import require_own_threads
from autocog_tf.tokenizer import TransformersTokenizer

log = logging.getLogger(__name__)

Result = TypeVar("Result")

#: Largest difference between two computations of a log-probability, in nats, by dtype.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 0.05, torch.bfloat16: 0.25}
#: Largest number of tokens in one row of a forward, by type of device.
MAX_CHUNK_TOKENS = {"cpu": 512, "mps": 1024, "cuda": 4096}
#: See `BackendInfo.nodes_per_step`: where measured, what reads banking77's labels fastest.
NODES_PER_STEP = {"cpu": 16}
DEFAULT_NODES_PER_STEP = 8


class TfEngine:
    """A causal language model of Transformers with its tokenizer.

    Calls must not overlap: hold `lock`, as core does.

    :param model: a causal language model; the engine puts it into evaluation mode.
    :param tokenizer: its tokenizer; it must be a fast one.
    :param prefix_cache_bytes: largest size of the keys, values and logits that are cached between
        calls.
    :param source: folder, file or hub name of the weights.
    :param name: the model's name in messages. Default: `source`.
    :param keeps_verdict: whether the cache folder keeps which evaluator the test at load selects.
    :param reverify: test all evaluators again, whatever is kept.
    :ivar lock: held during calls of all backends on this engine.
    :ivar forward: calls the model.
    :ivar config: the config of the model's text part.
    :ivar selection: the evaluator that computes all rows, and how it was selected.
    :ivar tolerance: see `BackendInfo.tolerance`.
    :ivar isolates: whether isolated queries are evaluated one by one, each from an empty cache. In
        float32, no call changes a number by more than `tolerance` anyway.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        prefix_cache_bytes: int = 1 << 30,
        source: str = "",
        name: str = "",
        keeps_verdict: bool = False,
        reverify: bool = False,
    ) -> None:
        require_own_threads()
        if model.device.type == "cpu" and torch.get_num_threads() > 1:
            warn_of_spinning()
        self.model = model.eval()
        self.source = source
        self.name = name or source or str(model.config._name_or_path) or type(model).__name__
        self.lock = threading.RLock()
        self.forward = Forward(model)
        self.config = model.config.get_text_config()
        self.tokenizer = TransformersTokenizer(
            tokenizer, self.config.vocab_size, list_eos_ids(model)
        )
        self._warn_of_tokens_without_rows()
        self.tolerance = TOLERANCE.get(model.dtype, TOLERANCE[torch.bfloat16])
        is_quantized = getattr(model.config, "quantization_config", None) is not None
        self.isolates = model.dtype != torch.float32 or is_quantized
        # Rows of logits are cached too: at most a quarter of the bytes.
        self._row_bytes = self.config.vocab_size * torch.float32.itemsize
        self._logits_cache: LogitsCache[torch.Tensor] = LogitsCache(
            torch.clone, prefix_cache_bytes // 4 // self._row_bytes
        )
        self.selection: SelectionResult = self._select_evaluator(
            prefix_cache_bytes - self._logits_cache.max_rows * self._row_bytes,
            verdict_file(model) if keeps_verdict else None,
            reverify,
        )

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Return the scores of each query; shared prefixes are evaluated once."""
        if not self.isolates:
            return self._score_together(queries)
        together = [query for query in queries if query.isolated_start is None]
        answers = iter(self._score_together(together) if together else ())
        return [
            next(answers) if query.isolated_start is None else self._score_alone(query)
            for query in queries
        ]

    def _score_together(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        def attempt() -> list[TreeScores]:
            collector = TorchScoreCollector(queries)
            self._logits_cache.answer(collector, self.selection.evaluator.evaluate)
            return collector.scores()

        return self._run(attempt)

    def _score_alone(self, query: TreeQuery) -> TreeScores:
        """Return the scores of an isolated query, from an empty cache; nothing of it is kept."""

        def attempt() -> TreeScores:
            self.selection.evaluator.clear()
            collector = TorchScoreCollector([query])
            self.selection.evaluator.evaluate(collector.forest, collector.add)
            return collector.scores()[0]

        try:
            return self._run(attempt)
        finally:
            self.selection.evaluator.clear()

    def row(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the log-probability of every token after `tokens`, float32 (V,)."""

        def attempt() -> NDArray[np.float32]:
            collector = RowCollector(tokens)
            self.selection.evaluator.evaluate(collector.forest, collector.add)
            return collector.row

        return self._run(attempt)

    @property
    def cached_bytes(self) -> int:
        """The size of what is cached between calls."""
        rows: int = len(self._logits_cache) * self._row_bytes
        return self.selection.evaluator.cached_bytes + rows

    def clear_caches(self) -> None:
        """Drop everything that earlier calls left in the caches."""
        self._logits_cache.clear()
        self.selection.evaluator.clear()

    @lazy
    def info(self) -> BackendInfo:
        """The result of the hook `describe`."""
        details: dict[str, Any] = {
            "architecture": type(self.model).__name__,
            "device": str(self.forward.device),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "attention": self.model.config._attn_implementation,
            "trees": self.selection.evaluator.name,
            "trees_differ_by": self.selection.difference,
            "transformers": transformers.__version__,
            "torch": torch.__version__,
        }
        if self.tokenizer.tokens_without_rows:
            details["tokens_without_rows"] = len(self.tokenizer.tokens_without_rows)
        if self.selection.rejected:
            details["rejected"] = list(self.selection.rejected)
        return BackendInfo(
            name=self.name,
            **self.tokenizer.describe(),
            context_length=context_length(self.config),
            tolerance=self.tolerance,
            max_concurrency=1,
            nodes_per_step=NODES_PER_STEP.get(self.forward.device.type, DEFAULT_NODES_PER_STEP),
            isolates=self.isolates,
            details=details,
            compute_fingerprint=_fingerprint_later(weakref.ref(self)),
        )

    def _warn_of_tokens_without_rows(self) -> None:
        tokens = self.tokenizer.tokens_without_rows
        if tokens:
            log.warning(
                "%s: the tokenizer has tokens that the model has no row for (%d, such as %r): "
                "autocog refuses texts with them",
                self.name,
                len(tokens),
                next(iter(tokens.values())),
            )

    def _select_evaluator(
        self, cache_bytes: int, kept_file: str | None, reverify: bool
    ) -> SelectionResult:
        forward, model = self.forward, self.model
        chunk_tokens = MAX_CHUNK_TOKENS.get(forward.device.type, MAX_CHUNK_TOKENS["cuda"])
        windows = attention_windows(self.config)
        # The test batches several rows whatever they cost, to show whether the model is correct.
        several_rows = AttentionEvaluator(forward, cache_bytes, chunk_tokens, windows)
        single_row = AttentionEvaluator(
            forward, cache_bytes, chunk_tokens, windows, cost_model=None
        )
        candidates: list[Callable[[], Evaluator]] = [
            lambda: RecurrentEvaluator(forward, cache_bytes, chunked=True),
            lambda: RecurrentEvaluator(forward, cache_bytes, chunked=False),
        ]
        if can_be_masked(model, self.config):
            candidates = [lambda: several_rows, lambda: single_row, *candidates]
        kept = read_verdict(kept_file) if kept_file and not reverify else None
        selection = None
        if kept is not None:
            selection = confirm_verdict(forward, candidates, kept, self.tolerance)
        if selection is None:
            selection = select_evaluator(forward, candidates, self.tolerance)
            if kept_file and selection.verdict is not None:
                write_verdict(kept_file, selection.verdict)
        if selection.evaluator is several_rows:
            several_rows.cost_model = CostModel.for_model(model, self.config, forward.device)
        return selection

    def _run(self, attempt: Callable[[], Result]) -> Result:
        with torch.inference_mode():
            return retry_with_smaller_batches(attempt, self.selection.evaluator)


def _fingerprint_later(engine_ref: weakref.ref[TfEngine]) -> Callable[[], str]:
    """Return a function that computes the fingerprint, and does not keep the engine in memory."""

    def compute() -> str:
        engine = engine_ref()
        if engine is None:
            raise ClosedError("the model is closed", where="fingerprint", hint="load it again")
        definition = engine.tokenizer.definition
        return fingerprint.compute_fingerprint(engine.model, definition, engine.source)

    return compute


def list_eos_ids(model: Any) -> list[int]:
    """Return the ids that end a sequence, as the generation config and the config name them."""
    ids: list[int] = []
    for config in (model.generation_config, model.config.get_text_config()):
        eos = getattr(config, "eos_token_id", None)
        ids += [] if eos is None else eos if isinstance(eos, list) else [eos]
    return ids


def can_be_masked(model: Any, config: Any) -> bool:
    """Return whether an attention mask can define what each token attends to.

    The test at load is too short to show where it cannot: recurrent models that ignore the mask,
    and layers that attend in chunks or by index in the cache.
    """
    layer_types = set(getattr(config, "layer_types", None) or ())
    attends_by_index = hasattr(config, "attention_layers") or hasattr(config, "window_size")
    is_recurrent = bool(getattr(model, "_is_stateful", False))
    is_maskable = layer_types <= {"full_attention", "sliding_attention"}
    return not is_recurrent and not attends_by_index and is_maskable


def context_length(config: Any) -> int | None:
    """Return the maximum context length; None if the config has none.

    Rotary embeddings of the types "longrope" and "dynamic" change beyond the original length, and
    then scores depend on how a sequence is split into forwards: the original length is the maximum.
    """
    length: int | None = getattr(config, "max_position_embeddings", None)
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") in ("longrope", "dynamic"):
        original = rope.get("original_max_position_embeddings")
        return min(x for x in (length, original) if x) if length or original else None
    return length


def attention_windows(config: Any) -> dict[str, int | None]:
    """Return the attention window by layer type; None is full attention.

    Models with layers of several types take a mask for each type. Others take one mask: the only
    key is "".
    """
    window = getattr(config, "sliding_window", None)
    layer_types = set(getattr(config, "layer_types", None) or ())
    if "sliding_attention" in layer_types:
        return {
            layer_type: window if layer_type == "sliding_attention" else None
            for layer_type in sorted(layer_types)
        }
    return {"": None if layer_types else window}
