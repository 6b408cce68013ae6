"""TokenizerLM: the base class of backends over an engine with a tokenizer."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Generic, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypeVar

from autocog_core.errors import (
    AUTHOR_HINT,
    AutocogError,
    CapabilityError,
    ClosedError,
    PluginBrokenError,
)
from autocog_core.hooks.answer_checks import check_trees
from autocog_core.hooks.engine_lock import engine_lock_of
from autocog_core.model.lm import ChoiceLM
from autocog_core.types.prompt import Message, Prompt
from autocog_core.types.token_tree import TreeQuery, TreeScores


class EngineTokenizer(Protocol):
    """The tokenizer of an engine, such as a `TextTokenizer`; see the hooks of the same names."""

    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        """Return the token ids of each text, without BOS."""

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of `tokens`."""

    def vocabulary(self) -> Sequence[bytes]:
        """Return the bytes of every token id."""


AnyEngine = TypeVar("AnyEngine", default=Any)

#: The open backends on each engine, by the engine's id. An open backend keeps its engine in memory,
#: so an id with open backends belongs to this engine.
_open_backends: dict[int, weakref.WeakSet[Any]] = {}


class TokenizerLM(ChoiceLM, Generic[AnyEngine]):
    """A backend over one engine: any object with an attribute `tokenizer`.

    `create` loads an engine once. The class then wraps it, as often as needed: all backends on an
    engine share its weights, lock and caches. The engine's memory is released with the last one.

    A subclass defines `load_engine`, `describe_impl`, and how rows are computed: by the method
    `greedy_tree_impl`, by `greedy_impl`, or by a method `row(tokens)` of the engine, which returns
    the log-probability of every token after `tokens`, float32 (V,).

    The engine may have:

    - `lock`, held during calls of all backends on it; else core makes one,
    - `close()`, called when the last open backend on it is closed,
    - `chat_prompt(messages, add_generation_prompt, template_arguments)`, in place of the
      tokenizer's.

    :param engine: the engine that `create` loaded.
    :param completion_kwargs: default arguments of `complete`.
    :param retry: `retries`, `delta` and `growth` of `LM`.
    :cvar BACKEND: the backend's name, for messages; default: the name of the class.
    :raises PluginBrokenError: if the engine has no tokenizer, or nothing computes rows.
    """

    BACKEND: ClassVar[str] = ""

    def __init__(
        self,
        *,
        engine: AnyEngine,
        completion_kwargs: Mapping[str, Any] | None = None,
        **retry: Any,
    ) -> None:
        super().__init__(completion_kwargs=completion_kwargs, **retry)
        self._require_parts(engine)
        self._engine: AnyEngine | None = engine
        self.lock: AbstractContextManager[Any] = engine_lock_of(engine).lock
        _open_backends.setdefault(id(engine), weakref.WeakSet()).add(self)

    @classmethod
    def create(cls, *given: Any, **options: Any) -> dict[str, Any]:
        """Load an engine once; the class's `Options` list the options.

        :param given: the validated options, or nothing.
        :param options: the options by name.
        :raises ConfigError: for an unknown option, or a path that does not exist.
        :raises ModelLoadError: if the engine cannot load the model.
        """
        return {"engine": cls.load_engine(cls.validate_options(*given, **options))}

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
            raise ClosedError("the model is closed", where=self._name(), hint="load it again")
        return self._engine

    @classmethod
    def _name(cls) -> str:
        return cls.BACKEND or cls.__name__

    def _require_parts(self, engine: object) -> None:
        where = self._name()
        if not hasattr(engine, "tokenizer"):
            raise PluginBrokenError(
                f"the engine {type(engine).__name__} has no attribute tokenizer",
                where=where,
                hint=AUTHOR_HINT,
            )
        inherits_row = type(self).greedy_impl is TokenizerLM.greedy_impl
        if inherits_row and not hasattr(engine, "row") and not hasattr(self, "greedy_tree_impl"):
            raise PluginBrokenError(
                f"it defines no greedy_tree_impl, and {type(engine).__name__} has no method row",
                where=where,
                hint=AUTHOR_HINT,
            )

    def tokenize_impl(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        return self._tokenizer.tokenize(texts, at_start, parse_special)

    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        return self._tokenizer.detokenize(tokens)

    def vocabulary_impl(self) -> Sequence[bytes]:
        return self._tokenizer.vocabulary()

    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        engine: Any = self.engine
        if hasattr(engine, "row"):
            row: NDArray[np.float32] = engine.row(tokens)
            return row
        # As a tree without nodes, of which all next tokens are wanted.
        none, root = np.zeros(0, dtype=np.int32), np.array([-1], dtype=np.int32)
        info = self.as_model().info
        size = info.vocabulary_size
        query = TreeQuery(prefix=tokens, tokens=none, parents=none, top_at=root, top_k=size)
        trees: Any = self
        answer: list[TreeScores] = trees.greedy_tree_impl([query])
        try:
            check_trees(answer, [query], info)
        except AutocogError as error:
            error.where = f"greedy_tree_impl of {self._name()}"
            raise
        ids, values = answer[0].top_tokens[0], answer[0].top_logprobs[0]
        logprobs = np.full(size, -np.inf, dtype=np.float32)
        logprobs[ids[ids >= 0]] = values[ids >= 0]
        return logprobs

    def chat_prompt_impl(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any],
    ) -> Prompt:
        owner: Any = self.engine if hasattr(self.engine, "chat_prompt") else self._tokenizer
        prompt: Prompt | None = owner.chat_prompt(
            messages, add_generation_prompt, template_arguments
        )
        if prompt is None:
            raise CapabilityError(
                "the model has no chat template", hint="give a prompt instead of messages"
            )
        return prompt

    def close_impl(self) -> None:
        engine: Any = self._engine
        if engine is None:
            return
        self._engine = None
        backends = _open_backends[id(engine)]
        backends.discard(self)
        if not backends:
            del _open_backends[id(engine)]
            if hasattr(engine, "close"):
                engine.close()

    @property
    def _tokenizer(self) -> EngineTokenizer:
        engine: Any = self.engine
        tokenizer: EngineTokenizer = engine.tokenizer
        return tokenizer
