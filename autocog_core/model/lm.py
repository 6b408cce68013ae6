"""Base classes for plugin authors: LM > GreedyLM > ChoiceLM. A convenience, not a requirement.

An author overrides the `*_impl` methods, which are the hook implementations; the public methods
are a `Model` over the object itself, so that a backend can be used without any configuration.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from autocog_core.config.options import BackendOptions
from autocog_core.errors import PluginBrokenError, did_you_mean
from autocog_core.hooks.retry import RetryPolicy
from autocog_core.hooks.specs import CONTRACT_VERSION, hookimpl
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.choice import ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.prompt import Message, PromptLike

if TYPE_CHECKING:
    from autocog_core.model.model import Model

#: Method name -> hook name.
HOOK_METHODS = {
    "tokenize_impl": "tokenize",
    "detokenize_impl": "detokenize",
    "complete_impl": "complete",
    "greedy_impl": "greedy_impl",
    "greedy_tree_impl": "greedy_tree_impl",
    "choose_impl": "choose",
    "run_automata_impl": "run_automata",
    "vocabulary_impl": "vocabulary",
    "chat_prompt_impl": "chat_prompt",
    "describe_impl": "describe",
    "usage_impl": "usage",
    "close_impl": "close",
}


class LM(ABC):
    """A language model that can tokenize and complete.

    :param completion_kwargs: default arguments of `complete`.
    :param retries: how often a failed call is made again, for retryable errors only.
    :param delta: seconds before the first retry. `growth`: factor between pauses.
    """

    contract: ClassVar[int] = CONTRACT_VERSION
    Options: ClassVar[type[BackendOptions]] = BackendOptions

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in vars(cls):
            if name.endswith("_impl") and not name.startswith("_") and name not in HOOK_METHODS:
                raise PluginBrokenError(
                    f'no hook is called "{name}"',
                    where=cls.__qualname__,
                    hint=did_you_mean(name, HOOK_METHODS),
                )
        # An override without its marker would pass every check and answer None: mark it here.
        # (Not `cls.__dict__`: it may come from a mixin that is no LM.)
        for method, hook in HOOK_METHODS.items():
            function = getattr(cls, method, None)
            if callable(function):
                hookimpl(specname=hook)(function)

    def __init__(
        self,
        *,
        completion_kwargs: Mapping[str, Any] | None = None,
        retries: int = 0,
        delta: float = 1.0,
        growth: float = 2.0,
    ) -> None:
        self.completion_kwargs = dict(completion_kwargs or {})
        self.retry = RetryPolicy(retries, delta, growth)
        #: Held during calls while `max_concurrency` is 1; wrappers of one engine should share it.
        self.lock: AbstractContextManager[Any] = threading.RLock()
        self._model: Model | None = None

    @classmethod
    def create(cls, **options: Any) -> dict[str, Any]:
        """Load the heavy things once; what it returns are keyword arguments of the class.

        :raises ConfigError: for an option that the backend does not know.
        """
        from autocog_core.config.options import validate

        checked = validate(cls.Options, options, where=cls.__name__)
        return {name: getattr(checked, name) for name in type(checked).model_fields}

    @abstractmethod
    def tokenize_impl(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        """See `autocog_core.hooks.specs.tokenize`."""

    @abstractmethod
    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        """See `autocog_core.hooks.specs.detokenize`."""

    @abstractmethod
    def describe_impl(self) -> BackendInfo:
        """See `autocog_core.hooks.specs.describe`."""

    def prompt_tokens(self, request: CompletionRequest) -> list[int]:
        """The ids of a request's prompt, for `complete_impl`: BOS once, only trusted text parsed.

        :raises ContextOverflowError: if prompt and `max_tokens` do not fit the context.
        """
        from autocog_core.scoring.prompt_encoding import check_sequence, encode

        client = self.as_model().client
        tokens = encode(client, request.prompt)
        check_sequence(tokens, client.info, beyond=request.max_tokens)
        return tokens

    def as_model(self) -> Model:
        """The `Model` over this object, which its public methods use."""
        # A method, not a property: pluggy reads every attribute of what it registers.
        if self._model is None:
            from autocog_core.model.model import Model

            self._model = Model(self)
        return self._model

    def tokenize(self, text: str, **arguments: Any) -> list[int]:
        """See `Model.tokenize`."""
        return self.as_model().tokenize(text, **arguments)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `Model.detokenize`."""
        return self.as_model().detokenize(tokens)

    def complete(
        self,
        prompt: PromptLike | None = None,
        *,
        messages: Sequence[Message] | None = None,
        **arguments: Any,
    ) -> Completion:
        """See `Model.complete`."""
        return self.as_model().complete(prompt, messages=messages, **arguments)

    def stream(
        self,
        prompt: PromptLike | None = None,
        *,
        messages: Sequence[Message] | None = None,
        **arguments: Any,
    ) -> Iterator[str]:
        """See `Model.stream`."""
        return self.as_model().stream(prompt, messages=messages, **arguments)

    def close(self) -> None:
        """See `Model.close`."""
        self.as_model().close()


class GreedyLM(LM):
    """A language model that tells the distribution of the next token."""

    @abstractmethod
    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """See `autocog_core.hooks.specs.greedy_impl`."""

    def greedy(
        self, prompt: PromptLike | None = None, *, messages: Sequence[Message] | None = None
    ) -> NDArray[np.float32]:
        """See `Model.greedy`."""
        return self.as_model().greedy(prompt, messages=messages)


class ChoiceLM(GreedyLM):
    """A language model that scores choices, by core's token choice tree unless it overrides it."""

    def choose(
        self,
        prompt: PromptLike | None = None,
        choices: Sequence[str] = (),
        *,
        messages: Sequence[Message] | None = None,
        **arguments: Any,
    ) -> ChoiceScores:
        """See `Model.choose`."""
        return self.as_model().choose(prompt, choices, messages=messages, **arguments)

    def choose_many(
        self,
        prompts: Sequence[PromptLike] | None = None,
        choices: Sequence[str] | Sequence[Sequence[str]] = (),
        **arguments: Any,
    ) -> list[ChoiceScores]:
        """See `Model.choose_many`."""
        return self.as_model().choose_many(prompts, choices, **arguments)
