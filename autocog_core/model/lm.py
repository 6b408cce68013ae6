"""Base classes for plugin authors: LM > GreedyLM > ChoiceLM. A convenience, not a requirement.

Authors override the `*_impl` methods, which implement the hooks. The public calls go through a
`Model` over the object itself, so that a backend works without any configuration.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from autocog_core.config.options import BackendOptions, validate
from autocog_core.errors import PluginBrokenError, UsageError, did_you_mean
from autocog_core.hooks.retry import RetryPolicy
from autocog_core.hooks.specs import CONTRACT_VERSION, hookimpl
from autocog_core.model.call_context import CallContext
from autocog_core.model.calls import TextCalls
from autocog_core.model.create_call import accept_names
from autocog_core.model.rank_calls import RankCalls
from autocog_core.model.score_calls import ScoreCalls
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.completion import CompletionRequest

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
    "choose_many_impl": "choose_many",
    "run_automata_impl": "run_automata",
    "vocabulary_impl": "vocabulary",
    "chat_prompt_impl": "chat_prompt",
    "describe_impl": "describe",
    "usage_impl": "usage",
    "close_impl": "close",
}


class LM(TextCalls):
    """A language model that can tokenize and complete.

    :param completion_kwargs: default arguments of `complete`.
    :param retries: how often a call that failed with a retryable error is repeated (default: 0).
    :param delta: seconds before the first retry (default: 1).
    :param growth: factor between the pauses (default: 2).
    :cvar contract: version of the hook contract that the class implements.
    :cvar Options: a pydantic model of the options of `create`.
    :ivar lock: held during calls while `max_concurrency` is 1. Set it to share a lock among
        backends; None takes one lock for all backends with the same object as `engine`.
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
        accept_names(cls)
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
        self.retry = RetryPolicy(retries=retries, delta=delta, growth=growth)
        self.lock: AbstractContextManager[Any] | None = None
        self._model: Model | None = None

    @classmethod
    def create(cls, *given: Any, **options: Any) -> dict[str, Any]:
        """Load the engine once, and return the keyword arguments of the class.

        A subclass defines `create(cls, options)`, which gets the validated `Options`, or
        `create(cls, **options)`. This one returns the options themselves.

        :param given: the validated options, or nothing.
        :param options: the options of the config file, or of `load`.
        :raises ConfigError: for an option that the backend does not know.
        """
        valid = cls.validate_options(*given, **options)
        return {name: getattr(valid, name) for name in type(valid).model_fields}

    @classmethod
    def validate_options(cls, *given: Any, **options: Any) -> Any:
        """Return the options as an instance of the class's `Options`.

        :param given: such an instance, which is returned as it is, or nothing.
        :param options: the options by name.
        :raises ConfigError: for an option that the backend does not know, or a wrong value.
        """
        if len(given) > 1 or (given and options):
            raise UsageError(
                "takes its options as one object, or by name",
                where=f"{cls.__name__}.create",
                hint=f"give one {cls.Options.__name__}, or only keyword arguments",
            )
        if not given:
            return validate(cls.Options, options, where=cls.__name__)
        if not isinstance(given[0], cls.Options):
            raise UsageError(
                f"got {type(given[0]).__name__} in place of {cls.Options.__name__}",
                where=f"{cls.__name__}.create",
                hint="give the options by name, or as an instance of the class's Options",
            )
        return given[0]

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
        """Return the token ids of a request's prompt, for `complete_impl`.

        BOS comes once, and only trusted text is parsed for special tokens.

        :raises ContextOverflowError: if prompt and `max_tokens` do not fit the context.
        """
        from autocog_core.scoring.prompt_encoding import check_sequence, encode_prompt

        client = self.as_model().client
        tokens = encode_prompt(client, request.prompt)
        check_sequence(tokens, client.info, new_tokens=request.max_tokens)
        return tokens

    def as_model(self) -> Model:
        """Return the `Model` over this object, which its public calls use."""
        # A method, not a property: pluggy reads every attribute of what it registers.
        if self._model is None:
            from autocog_core.model.model import Model

            self._model = Model(self)
        return self._model

    def _call_context(self) -> CallContext:
        return self.as_model()._call_context()

    def close(self) -> None:
        """See `Model.close`."""
        self.as_model().close()


class GreedyLM(LM, ScoreCalls):
    """A language model that returns the distribution of the next token."""

    @abstractmethod
    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """See `autocog_core.hooks.specs.greedy_impl`."""


class ChoiceLM(GreedyLM, RankCalls):
    """A language model that scores choices: by core's token choice tree, unless it overrides it."""
