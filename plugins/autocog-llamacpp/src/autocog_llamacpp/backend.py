"""LLaMa: the hooks of a backend over one engine. llama_cpp is imported when one is created."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
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
from autocog_llamacpp.options import LlamaOptions

if TYPE_CHECKING:
    from autocog_core import AutocogError, ThoughtTree
    from autocog_core.hooks import AutomatonRun, Declined
    from autocog_llamacpp.engine import LlamaEngine


class LLaMa(ChoiceLM):
    """A language model of llama.cpp, from a GGUF file.

    `created = LLaMa.create(model_path="model.gguf", n_ctx=2048)` loads one instance;
    `LLaMa(**created, completion_kwargs={"max_tokens": 20})` wraps it, as often as wanted: all
    wrappers share the weights, the lock and the cache of prefixes.

    :param engine: what `create` loaded.
    """

    Options = LlamaOptions

    def __init__(
        self,
        *,
        engine: LlamaEngine,
        completion_kwargs: Mapping[str, Any] | None = None,
        **retry: Any,
    ) -> None:
        super().__init__(completion_kwargs=completion_kwargs, **retry)
        self._engine: LlamaEngine | None = engine
        self.lock: AbstractContextManager[Any] = engine.lock

    @classmethod
    def create(cls, **options: Any) -> dict[str, Any]:
        """Load a model once; see `LlamaOptions` for the options.

        :raises ConfigError: for an unknown option, or a path that does not exist.
        :raises ModelLoadError: if llama.cpp cannot load it, or memory does not suffice.
        """
        checked = super().create(**options)
        from autocog_llamacpp.loading import load_engine

        return {"engine": load_engine(LlamaOptions(**checked))}

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

    def run_automata_impl(
        self, runs: Sequence[AutomatonRun]
    ) -> Sequence[ThoughtTree | AutocogError] | Declined | None:
        return self._open.evaluate(runs, self._turn)

    def complete_impl(self, request: CompletionRequest) -> Completion:
        from autocog_llamacpp.generation import generate

        return generate(self._open, self.prompt_tokens(request), request)

    def chat_prompt_impl(self, messages: Sequence[Message], add_generation_prompt: bool) -> Prompt:
        engine = self._open
        if engine.chat_template is None:
            raise CapabilityError(
                "the model has no chat template", hint="give a prompt instead of messages"
            )
        special = [token.text for token in engine.tokenizer.special_tokens]
        return engine.chat_template.prompt(messages, add_generation_prompt, special)

    def describe_impl(self) -> BackendInfo:
        return self._open.info

    def close_impl(self) -> None:
        # The engine's memory goes with the last wrapper that lets go of it.
        self._engine = None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Held while the engine is at work for a run; it may be closed between two turns."""
        with self.lock:
            self._open  # noqa: B018 - raises
            yield

    @property
    def _open(self) -> LlamaEngine:
        if self._engine is None:
            raise ClosedError("the model is closed", where="llamacpp", hint="load it again")
        return self._engine
