"""LLaMa: the hooks of a backend over one engine. llama_cpp is imported when one is created."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from autocog_core import (
    BackendInfo,
    BackendOptions,
    CapabilityError,
    ChoiceLM,
    ClosedError,
    Completion,
    CompletionRequest,
    Prompt,
    TreeQuery,
    TreeScores,
)
from autocog_core.config.options import Resource
from autocog_core.types.prompt import Message

if TYPE_CHECKING:
    from autocog_core import AutocogError, ThoughtTree
    from autocog_core.hooks.automaton_run import Declined, WholeRun
    from autocog_llamacpp.engine import LlamaEngine

CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]


#: llama.cpp keeps sizes in 32 bits, and wraps what is larger.
LIMIT = 2**31


class Lora(BackendOptions):
    """A LoRA adapter in a GGUF file, and how strongly it applies."""

    path: Resource
    scale: float = Field(1.0, allow_inf_nan=False)


class LlamaOptions(BackendOptions):
    """Options of the llama.cpp backend."""

    model_path: Resource = Field(
        description=".gguf file, package:PKG/FILE, or hf:REPO/FILE on the Hugging Face hub"
    )
    n_ctx: int = Field(
        4096,
        ge=0,
        lt=LIMIT,
        description="tokens in memory, of all sequences; 0: the model's",
    )
    n_batch: int = Field(512, ge=1, lt=LIMIT, description="most tokens in one call")
    n_ubatch: int = Field(512, ge=1, lt=LIMIT, description="most tokens computed at once")
    n_seq_max: int = Field(
        0, ge=0, le=256, description="branches at once; 0: as many as 32 MB of logits hold"
    )
    n_threads: int = Field(0, ge=0, le=512, description="0: the physical cores")
    n_gpu_layers: int = Field(-1, ge=-1, lt=LIMIT, description="layers on an accelerator; -1: all")
    flash_attn: bool | None = Field(None, description="none: where llama.cpp thinks it fits")
    type_k: CacheType | None = Field(None, description="type of cached keys; none: f16")
    type_v: CacheType | None = Field(None, description="type of cached values; none: f16")
    use_mmap: bool = Field(True, description="map the file into memory instead of reading it")
    lora: tuple[Lora, ...] = Field((), description="adapters: {path = FILE, scale = 1.0}, ...")
    seed: int | None = Field(None, ge=0, description="of completions that give none")
    exact: bool = Field(False, description="no flash attention, cache in f32: slower, but exact")
    native: bool | None = Field(
        None, description="evaluate in C++; none: where the extension was built"
    )
    verbose: bool = Field(False, description="print llama.cpp's log on stderr")

    @model_validator(mode="after")
    def _check_exact(self) -> LlamaOptions:
        inexact = [
            name for name in ("type_k", "type_v") if getattr(self, name) not in (None, "f32")
        ]
        if self.flash_attn:
            inexact.append("flash_attn")
        if self.exact and inexact:
            raise ValueError(f"exact = true allows no {inexact[0]} = {getattr(self, inexact[0])!r}")
        return self


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

    def evaluate_impl(
        self, runs: Sequence[WholeRun]
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
