"""The backend `OpenAI`: one model on a server. The package `openai` is imported on first use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autocog_core import (
    BackendInfo,
    ChoiceLM,
    ChoiceRequest,
    ChoiceScores,
    Completion,
    CompletionRequest,
    Message,
    Prompt,
    TopChoices,
    TreeQuery,
    TreeScores,
    Usage,
)
from autocog_core.toolkit import validate
from autocog_openai.connection.options import OpenAIOptions

if TYPE_CHECKING:
    from autocog_openai.engine import Engine

#: Arguments of `LM`: retries by core, in addition to the SDK's.
RETRY_ARGUMENTS = {"retries", "delta", "growth"}


class OpenAI(ChoiceLM):
    """A language model on OpenAI's servers, or on a compatible server.

    `OpenAI(model="gpt-4o-mini", max_tokens=20, temperature=0.4)`. The server is probed with
    one-token requests on first use.

    :param engine: the engine of another instance, to share its connections.
    :param completion_kwargs: defaults for completions.
    :param options: the fields of `OpenAIOptions`.
    :raises ConfigError: for an unknown option, or if a key is needed and there is none.
    """

    Options = OpenAIOptions

    def __init__(
        self,
        *,
        engine: Engine | None = None,
        completion_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        retry = {name: options.pop(name) for name in RETRY_ARGUMENTS & options.keys()}
        if engine is None:
            from autocog_openai.engine import Engine

            checked = validate(OpenAIOptions, options, where="OpenAI")
            engine = Engine(checked, lambda: self.as_model().client)
        defaults = {
            name: value
            for name in ("max_tokens", "temperature")
            if (value := getattr(engine.options, name)) is not None
        }
        super().__init__(completion_kwargs={**defaults, **(completion_kwargs or {})}, **retry)
        # Requests run in parallel: there is nothing to lock.
        self.lock: AbstractContextManager[Any] = nullcontext()
        self._engine = engine

    @classmethod
    def create(cls, **options: Any) -> dict[str, Any]:
        """Check the options, without a request to the server.

        :raises ConfigError: for an unknown option.
        """
        return super().create(**options)

    def tokenize_impl(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        return self._engine.tokenize(texts, at_start, parse_special)

    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        return self._engine.detokenize(tokens)

    def vocabulary_impl(self) -> Sequence[bytes] | None:
        return self._engine.vocabulary()

    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        # None means that the hook is not available: the server does not list all tokens.
        return self._engine.next_logprobs(tokens)  # type: ignore[return-value]

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores] | None:
        return self._engine.score_trees(queries)

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores | TopChoices | None:
        return self._engine.choose(request)

    def choose_many_impl(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceScores] | None:
        return self._engine.choose_many(requests)

    def complete_impl(self, request: CompletionRequest) -> Completion | None:
        return self._engine.complete(request)

    def chat_prompt_impl(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any],
    ) -> Prompt:
        return self._engine.chat_prompt(messages, add_generation_prompt, template_arguments)

    def describe_impl(self) -> BackendInfo:
        return self._engine.info

    def usage_impl(self) -> Usage:
        return self._engine.connection.usage

    def close_impl(self) -> None:
        self._engine.connection.close()
