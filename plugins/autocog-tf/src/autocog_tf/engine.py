"""TfEngine: one loaded model and tokenizer, its lock, and what it keeps between calls."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from autocog_core import BackendInfo, ClosedError, Message, Prompt, TreeQuery, TreeScores
from autocog_core.toolkit import LogitsCache, lazy, respects_word_boundaries
from autocog_tf import fingerprint
from autocog_tf.evaluators.attention import AttentionEvaluator
from autocog_tf.evaluators.batch_plan import CostModel
from autocog_tf.evaluators.evaluator import Evaluator, Forward
from autocog_tf.evaluators.out_of_memory import retry_with_smaller_batches
from autocog_tf.evaluators.recurrent import RecurrentEvaluator
from autocog_tf.evaluators.selection import SelectionResult, select_evaluator
from autocog_tf.evaluators.tree_scores import RowCollector, TorchScoreCollector
from autocog_tf.tokenizer import TextTokenizer

Answer = TypeVar("Answer")

#: How far two ways of computing one token's log-probability may differ, in nats, by dtype.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 0.05, torch.bfloat16: 0.25}
#: Most tokens in one forward, by kind of device.
CHUNK_TOKENS = {"cpu": 512, "mps": 1024, "cuda": 4096}


class TfEngine:
    """A causal language model of Transformers with its tokenizer.

    Calls must not overlap: hold `lock`, as core does.

    :param model: any causal language model; it is put into evaluation mode.
    :param tokenizer: its tokenizer, with a Rust backend.
    :param prefix_cache_bytes: bytes of keys and values kept between calls.
    :param source: where the weights came from: a folder, a file or a hub name.
    :param name: what to call it.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        prefix_cache_bytes: int = 1 << 30,
        source: str = "",
        name: str = "",
    ) -> None:
        self.model = model.eval()
        self.source = source
        self.name = name or source or str(model.config._name_or_path) or type(model).__name__
        self.lock = threading.RLock()
        self.forward = Forward(model)
        self.config = model.config.get_text_config()
        self.tokenizer = TextTokenizer(tokenizer, self.config.vocab_size)
        self.tolerance = TOLERANCE.get(model.dtype, TOLERANCE[torch.bfloat16])
        chunk = CHUNK_TOKENS.get(self.forward.device.type, CHUNK_TOKENS["cuda"])

        windows = attention_windows(self.config)
        # While they are tried, several rows go side by side: what is right for rows is seen then.
        rows = AttentionEvaluator(self.forward, prefix_cache_bytes, chunk, windows)
        one_row = AttentionEvaluator(self.forward, prefix_cache_bytes, chunk, windows, costs=None)
        candidates: list[Callable[[], Evaluator]] = [
            lambda: RecurrentEvaluator(self.forward, prefix_cache_bytes, chunked=True),
            lambda: RecurrentEvaluator(self.forward, prefix_cache_bytes, chunked=False),
        ]
        if may_be_masked(model, self.config):
            candidates = [lambda: rows, lambda: one_row, *candidates]
        self._rows: LogitsCache[torch.Tensor] = LogitsCache(torch.clone)
        self.selection: SelectionResult = select_evaluator(self.forward, candidates, self.tolerance)
        if self.selection.evaluator is rows:
            rows.costs = CostModel.of(model, self.config, self.forward.device)

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Answers to several queries, which share what their sequences have in common."""

        def attempt() -> list[TreeScores]:
            answers = TorchScoreCollector(queries)
            self._rows.answer(answers, self.selection.evaluator.evaluate)
            return answers.scores()

        return self._run(attempt)

    def clear_caches(self) -> None:
        """Drop everything that was kept from earlier calls."""
        self._rows.clear()
        self.selection.evaluator.clear()

    def row(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """float32 (V,): log-probability of every token after `tokens`."""

        def attempt() -> NDArray[np.float32]:
            answer = RowCollector(tokens)
            self.selection.evaluator.evaluate(answer.forest, answer.add)
            return answer.row

        return self._run(attempt)

    def chat_prompt(
        self, messages: Sequence[Message], add_generation_prompt: bool
    ) -> Prompt | None:
        """Return the chat template around `messages`; None if the tokenizer has no template."""
        return self.tokenizer.chat_prompt(messages, add_generation_prompt)

    @lazy
    def info(self) -> BackendInfo:
        """What this engine is."""
        eos = getattr(self.model.generation_config, "eos_token_id", None)
        ids = [] if eos is None else eos if isinstance(eos, list) else [eos]
        own = self.tokenizer.tokenizer.eos_token_id
        if own is not None and own not in ids:
            ids.append(own)
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
        if self.selection.rejected:
            details["rejected"] = list(self.selection.rejected)
        return BackendInfo(
            name=self.name,
            vocabulary_size=self.config.vocab_size,
            context_length=context_length(self.config),
            bos=self.tokenizer.bos,
            adds_bos=self.tokenizer.adds_bos,
            eos=tuple(ids),
            special_tokens=self.tokenizer.special_tokens,
            splits_at_word_boundaries=respects_word_boundaries(self.tokenizer.vocabulary()),
            tolerance=self.tolerance,
            max_concurrency=1,
            details=details,
            compute_fingerprint=_identify(weakref.ref(self)),
        )

    def _run(self, attempt: Callable[[], Answer]) -> Answer:
        with torch.inference_mode():
            return retry_with_smaller_batches(attempt, self.selection.evaluator)


def _identify(found: weakref.ref[TfEngine]) -> Callable[[], str]:
    """What computes an engine's fingerprint; who has it does not keep the weights in memory."""

    def identify() -> str:
        engine = found()
        if engine is None:
            raise ClosedError("the model is closed", where="fingerprint", hint="load it again")
        return fingerprint.of(engine.model, engine.tokenizer.definition, engine.source)

    return identify


def may_be_masked(model: Any, config: Any) -> bool:
    """Whether a mask of ours can say what each token attends to.

    What a few tokens cannot tell is told here: recurrent models that never look at a mask, layers
    that attend by chunks or by their place in the cache.
    """
    kinds = set(getattr(config, "layer_types", None) or ())
    by_place = hasattr(config, "attention_layers") or hasattr(config, "window_size")
    recurrent = bool(getattr(model, "_is_stateful", False))
    return not recurrent and not by_place and kinds <= {"full_attention", "sliding_attention"}


def context_length(config: Any) -> int | None:
    """Most tokens of a sequence whose scores do not depend on how it is evaluated.

    With rotary embeddings that change with the length ("longrope", "dynamic") a sequence in parts
    is exact only up to the length that the model was first made for.
    """
    length: int | None = getattr(config, "max_position_embeddings", None)
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") in ("longrope", "dynamic"):
        first = rope.get("original_max_position_embeddings")
        return min(x for x in (length, first) if x) if length or first else None
    return length


def attention_windows(config: Any) -> dict[str, int | None]:
    """The attention window by layer type, None for all that came before.

    Models with layers of several types take one mask for each; the others take one mask, here "".
    """
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if "sliding_attention" in kinds:
        return {kind: window if kind == "sliding_attention" else None for kind in sorted(kinds)}
    return {"": None if kinds else window}
