"""TfLM: the hooks of a backend over one engine. What computes is imported when it is created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autocog_core import (
    BackendInfo,
    CapabilityError,
    ChoiceLM,
    ClosedError,
    Completion,
    CompletionRequest,
    Message,
    Prompt,
    TreeQuery,
    TreeScores,
)
from autocog_tf.options import TfOptions

if TYPE_CHECKING:
    from autocog_tf.engine import TfEngine


class TfLM(ChoiceLM):
    """A causal language model of Transformers.

    `created = TfLM.create(model_path="gpt2-medium", device="cpu")` loads one instance;
    `TfLM(**created, completion_kwargs={"max_new_tokens": 20})` wraps it, as often as wanted: all
    wrappers share the weights, the lock and the cache of prefixes.

    :param engine: what `create` loaded, or a `TfEngine` over a loaded model and tokenizer.
    """

    Options = TfOptions

    def __init__(
        self,
        *,
        engine: TfEngine,
        completion_kwargs: Mapping[str, Any] | None = None,
        **retry: Any,
    ) -> None:
        super().__init__(completion_kwargs=completion_kwargs, **retry)
        self._engine: TfEngine | None = engine
        self.lock: AbstractContextManager[Any] = engine.lock

    @classmethod
    def create(cls, **options: Any) -> dict[str, Any]:
        """Load model and tokenizer once; see `TfOptions` for the options.

        :raises ConfigError: for an unknown option, or a path that does not exist.
        :raises ModelLoadError: if Transformers cannot make a model of it.
        """
        checked = super().create(**options)
        from autocog_tf.loading import load_engine

        return {"engine": load_engine(TfOptions(**checked))}

    def tokenize_impl(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        return self._open.tokenizer.tokenize(texts, at_start, parse_special)

    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        return self._open.tokenizer.detokenize(tokens)

    def vocabulary_impl(self) -> Sequence[bytes]:
        return self._open.tokenizer.vocabulary()

    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        return self._open.row(tokens)

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        return self._open.score_trees(queries)

    def complete_impl(self, request: CompletionRequest) -> Completion:
        from autocog_tf.generation import generate

        return generate(self._open, self.prompt_tokens(request), request)

    def chat_prompt_impl(self, messages: Sequence[Message], add_generation_prompt: bool) -> Prompt:
        prompt = self._open.tokenizer.chat_prompt(messages, add_generation_prompt)
        if prompt is None:
            raise CapabilityError(
                "the model has no chat template", hint="give a prompt instead of messages"
            )
        return prompt

    def describe_impl(self) -> BackendInfo:
        return self._open.info

    def close_impl(self) -> None:
        # The engine's memory goes with the last wrapper that lets go of it.
        self._engine = None

    @property
    def _open(self) -> TfEngine:
        if self._engine is None:
            raise ClosedError("the model is closed", where="tf", hint="load it again")
        return self._engine
