"""LLaMa: the hooks of a backend on an engine. Loading an engine imports llama_cpp."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from autocog_core import Completion, CompletionRequest, EngineLM
from autocog_llamacpp.options import LlamaOptions

if TYPE_CHECKING:
    from autocog_core import AutocogError, ThoughtTree
    from autocog_core.hooks import AutomatonRun, Declined
    from autocog_llamacpp.engine import LlamaEngine


# mypy reads this class before the engine, which its package imports too.
class LLaMa(EngineLM["LlamaEngine"]):  # type: ignore[type-var]
    """A language model of llama.cpp, from a GGUF file.

    `created = LLaMa.create(model_path="model.gguf", n_ctx=2048)` loads an engine once.
    `LLaMa(**created, completion_kwargs={"max_tokens": 20})` wraps it. All backends on an engine
    share its weights, its lock and its prefix cache.

    :param engine: the engine that `create` loaded.
    """

    BACKEND = "llamacpp"
    Options = LlamaOptions

    @classmethod
    def load_engine(cls, options: Any) -> LlamaEngine:
        from autocog_llamacpp.loading import load_engine

        return load_engine(options)

    def run_automata_impl(
        self, runs: Sequence[AutomatonRun]
    ) -> Sequence[ThoughtTree | AutocogError] | Declined | None:
        return self.engine.run_automata(runs, self._engine_lock)

    def complete_impl(self, request: CompletionRequest) -> Completion:
        from autocog_llamacpp.generation import generate

        return generate(self.engine, self.prompt_tokens(request), request)

    @contextmanager
    def _engine_lock(self) -> Iterator[None]:
        """Lock the engine while it computes for a run. The model can be closed in between."""
        with self.lock:
            self.engine  # noqa: B018 - raises once it is closed
            yield
