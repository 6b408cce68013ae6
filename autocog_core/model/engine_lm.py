"""EngineLM: the base class of backends that forward their hooks to an engine in this process."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import CapabilityError, ClosedError
from autocog_core.hooks.engine_lock import engine_lock_of
from autocog_core.model.lm import ChoiceLM
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.prompt import Message, Prompt
from autocog_core.types.token_tree import TreeQuery, TreeScores


class EngineTokenizer(Protocol):
    """The tokenizer of an engine; see the hooks of the same names."""

    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        """Return the token ids of each text, without BOS."""

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of `tokens`."""

    def vocabulary(self) -> Sequence[bytes]:
        """Return the bytes of every token id."""


class Engine(Protocol):
    """A loaded model, with its tokenizer and the caches that its calls share.

    It may have a `lock`, which is held during calls of all backends on it; else core makes one.
    """

    @property
    def tokenizer(self) -> EngineTokenizer:
        """The tokenizer."""

    @property
    def info(self) -> BackendInfo:
        """The result of the hook `describe`."""

    def row(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the log-probability of every token after `tokens`, float32 (V,)."""

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Return the scores of each query."""

    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any],
    ) -> Prompt | None:
        """Return the chat template around `messages`; None if the model has no template."""


AnyEngine = TypeVar("AnyEngine", bound=Engine)


class EngineLM(ChoiceLM, Generic[AnyEngine]):
    """A backend over one engine.

    `create` loads an engine once. The class then wraps it, as often as needed: all backends on an
    engine share its weights, lock and caches. The engine's memory is released with the last one.

    :param engine: the engine that `create` loaded.
    :param completion_kwargs: default arguments of `complete`.
    :param retry: `retries`, `delta` and `growth` of `LM`.
    :cvar BACKEND: the backend's name, for messages.
    """

    BACKEND: ClassVar[str]

    def __init__(
        self,
        *,
        engine: AnyEngine,
        completion_kwargs: Mapping[str, Any] | None = None,
        **retry: Any,
    ) -> None:
        super().__init__(completion_kwargs=completion_kwargs, **retry)
        self._engine: AnyEngine | None = engine
        self.lock: AbstractContextManager[Any] = engine_lock_of(engine).lock

    @classmethod
    def create(cls, **options: Any) -> dict[str, Any]:
        """Load an engine once; the class's `Options` list the options.

        :raises ConfigError: for an unknown option, or a path that does not exist.
        :raises ModelLoadError: if the engine cannot load the model.
        """
        return {"engine": cls.load_engine(cls.Options(**super().create(**options)))}

    @classmethod
    @abstractmethod
    def load_engine(cls, options: Any) -> AnyEngine:
        """Load an engine, given the validated `Options`."""

    @property
    def engine(self) -> AnyEngine:
        """The engine.

        :raises ClosedError: after `close`.
        """
        if self._engine is None:
            raise ClosedError("the model is closed", where=self.BACKEND, hint="load it again")
        return self._engine

    def tokenize_impl(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        return self.engine.tokenizer.tokenize(texts, at_start, parse_special)

    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        return self.engine.tokenizer.detokenize(tokens)

    def vocabulary_impl(self) -> Sequence[bytes]:
        return self.engine.tokenizer.vocabulary()

    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        return self.engine.row(tokens)

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        return self.engine.score_trees(queries)

    def chat_prompt_impl(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any],
    ) -> Prompt:
        prompt = self.engine.chat_prompt(messages, add_generation_prompt, template_arguments)
        if prompt is None:
            raise CapabilityError(
                "the model has no chat template", hint="give a prompt instead of messages"
            )
        return prompt

    def describe_impl(self) -> BackendInfo:
        return self.engine.info

    def close_impl(self) -> None:
        self._engine = None
