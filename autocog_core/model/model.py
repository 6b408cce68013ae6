"""Model: what a user holds. A typed facade over one backend and its wrappers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import InputError
from autocog_core.hooks.client import BackendClient
from autocog_core.hooks.manager import hooks_of, new_manager, register
from autocog_core.hooks.retry import RetryPolicy
from autocog_core.lazy import lazy
from autocog_core.model.choice_arguments import choice_request, choices_per_prompt, several
from autocog_core.model.completion_arguments import completion_request, merged
from autocog_core.model.core_hooks import CoreDefaults
from autocog_core.model.streaming import stream
from autocog_core.model.wrapper_context import CORE, WrapperContext
from autocog_core.scoring import choice_tree
from autocog_core.scoring.prompt_encoding import encode
from autocog_core.types.backend_info import BackendInfo, Usage
from autocog_core.types.choice import ChoiceScores, EndOfSequence, Norm
from autocog_core.types.completion import Completion
from autocog_core.types.prompt import Message, Prompt, PromptLike, check_messages, check_text
from autocog_core.types.token_tree import TreeQuery

__all__ = ["Model", "NextToken"]


@dataclass(frozen=True, slots=True)
class NextToken:
    """One of the likeliest next tokens: its id, bytes and log-probability."""

    token: int
    raw: bytes
    logprob: float

    @property
    def text(self) -> str:
        """`raw` as text; bytes that are no UTF-8 become U+FFFD."""
        return self.raw.decode("utf-8", errors="replace")


#: What an engine evaluates for others, call by call: a wrapper of any of these is to see them all.
EVALUATIONS = {"tokenize", "detokenize", "vocabulary", "greedy_impl", "greedy_tree_impl"}


class Model:
    """One backend with its wrappers, behind one hook manager of its own.

    :param backend: an object with hook implementations (see `autocog_core.hooks.specs`).
    :param wrappers: plugins that wrap its hooks, outermost first. One with a method `attach` is
        told its place (`autocog_core.model.wrapper_context`).
    :param completion: default arguments of `complete`; None takes the backend's
        `completion_kwargs`.
    :param retry: what to do about retryable errors; None takes the backend's `retry`.
    :param lock: held during calls of a backend with `max_concurrency` 1; None takes the backend's
        `lock`, which all wrappers of one engine should share.
    :param name: the model's name, for messages.
    :param on_close: called once, when the model is closed.
    :raises PluginBrokenError: if a plugin has a hook that no specification knows.
    """

    def __init__(
        self,
        backend: object,
        *,
        wrappers: Sequence[object] = (),
        completion: Mapping[str, Any] | None = None,
        retry: RetryPolicy | None = None,
        lock: AbstractContextManager[Any] | None = None,
        name: str | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.name = name or type(backend).__name__
        self._backend = backend
        self._on_close = on_close
        if completion is None:
            completion = getattr(backend, "completion_kwargs", None)
        self._completion = merged(completion or {})
        lock = getattr(backend, "lock", None) or lock or threading.RLock()
        retry = retry or getattr(backend, "retry", None) or RetryPolicy()
        manager = new_manager()
        self._manager = manager
        self._client = BackendClient(
            manager, self.name, lock, retry, backend_hooks=lambda: hooks_of(backend)
        )
        register(manager, CoreDefaults(self._client), CORE)
        register(manager, backend, self.name)
        # pluggy calls what was registered last first: the outermost wrapper goes in last.
        for number, wrapper in reversed(list(enumerate(wrappers))):
            register(manager, wrapper, f"{type(wrapper).__name__} ({number})")
        hooks = (hook for one in wrappers for hook in manager.get_hookcallers(one) or ())
        self._client.watched = any(hook.name in EVALUATIONS for hook in hooks)
        for wrapper in wrappers:
            if attach := getattr(wrapper, "attach", None):
                attach(WrapperContext(self._client, manager, backend, wrapper))

    @property
    def backend(self) -> object:
        """The object with the hook implementations."""
        return self._backend

    @property
    def client(self) -> BackendClient:
        """The typed hook calls, for code that builds on models."""
        return self._client

    @lazy
    def info(self) -> BackendInfo:
        """What the backend says of itself."""
        return self._client.info

    @lazy
    def capabilities(self) -> tuple[str, ...]:
        """Names of the hooks that the backend itself implements, and that work, sorted."""
        return self._client.capabilities

    @property
    def usage(self) -> Usage | None:
        """What the model was asked for so far, all its wrappers together; None: not counted."""
        return self._client.usage()

    def tokenize(
        self, text: str, *, at_start: bool = True, parse_special: bool = False
    ) -> list[int]:
        """Token ids of `text`, without BOS.

        :param at_start: False if the text continues other text.
        :param parse_special: whether special tokens are parsed: only for text you trust.
        """
        check_text(text, "text")
        return self._client.tokenize([text], at_start=at_start, parse_special=parse_special)[0]

    def encode(self, prompt: PromptLike) -> list[int]:
        """The ids that the model is given for `prompt`: with BOS, where it has one."""
        return encode(self._client, Prompt.of(prompt))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`; bytes that are no UTF-8 become U+FFFD."""
        return self.detokenize_bytes(tokens).decode("utf-8", errors="replace")

    def detokenize_bytes(self, tokens: Sequence[int]) -> bytes:
        """The bytes of `tokens`.

        :raises InputError: for an id outside the vocabulary.
        """
        size = self.info.vocabulary_size
        for token in tokens:
            if not 0 <= token < size:
                raise InputError(
                    f"token {token} is outside the vocabulary",
                    where="tokens",
                    hint=f"ids are 0..{size - 1}",
                )
        return self._client.detokenize(list(tokens))

    def greedy(
        self, prompt: PromptLike | None = None, *, messages: Sequence[Message] | None = None
    ) -> NDArray[np.float32]:
        """float32 (V,): natural log-probability of every token after the prompt.

        :raises InputError: for an empty prompt on a model without BOS, or bad ids.
        :raises ContextOverflowError: if the prompt does not fit.
        """
        return self._client.greedy(encode(self._client, self._prompt(prompt, messages)))

    def next_tokens(
        self,
        prompt: PromptLike | None = None,
        k: int = 10,
        *,
        messages: Sequence[Message] | None = None,
    ) -> list[NextToken]:
        """The k likeliest next tokens, likeliest first."""
        tokens = encode(self._client, self._prompt(prompt, messages))
        nothing = np.zeros(0, dtype=np.int32)
        k = max(1, min(k, self.info.vocabulary_size))
        query = TreeQuery(tokens, nothing, nothing, np.array([-1], dtype=np.int32), k)
        scores = self._client.greedy_tree([query])[0]
        return [
            NextToken(token, self._client.detokenize([token]), min(0.0, logprob))
            for token, logprob in zip(
                scores.top_tokens[0].tolist(), scores.top_logprobs[0].tolist(), strict=True
            )
            if token >= 0
        ]

    def complete(
        self,
        prompt: PromptLike | None = None,
        *,
        messages: Sequence[Message] | None = None,
        **arguments: Any,
    ) -> Completion:
        """Continue the prompt.

        :param arguments: `max_tokens`, `stop` (a string or several), `temperature` (0 is greedy),
            `top_p`, `top_k`, `min_p`, `seed`, `n`, `on_text`; others go to the engine, which
            refuses what it does not know. Those left out come from the model's defaults.
        :raises InputError: for arguments out of range.
        :raises CapabilityError: for one that the engine does not know.
        :raises ContextOverflowError: if prompt and `max_tokens` do not fit.
        """
        request = completion_request(
            self._prompt(prompt, messages), merged(self._completion, arguments)
        )
        return self._client.complete(request)

    def stream(
        self,
        prompt: PromptLike | None = None,
        *,
        messages: Sequence[Message] | None = None,
        **arguments: Any,
    ) -> Iterator[str]:
        """The text of `complete`, in pieces, as they are generated: of one completion.

        Closing the iterator ends the completion.
        """
        arguments = {"n": 1, **arguments}
        return stream(
            lambda on_text: self.complete(prompt, messages=messages, on_text=on_text, **arguments)
        )

    def choose(
        self,
        prompt: PromptLike | None = None,
        choices: Sequence[str] = (),
        *,
        messages: Sequence[Message] | None = None,
        norm: Norm = "sum",
        suffix: str | EndOfSequence | None = None,
        boundary: Literal["heal", "strict"] = "heal",
        method: str | None = None,
        unconditional_prompt: str | None = None,
    ) -> ChoiceScores:
        """Score strings that continue the prompt, exactly.

        :param norm: what ranks the choices: "sum" (the exclusive log-probability), "mean" (per
            token), "per_byte", or "pmi".
        :param suffix: text that must follow the choice, or `EOS`.
        :param boundary: "strict" raises where the end of the prompt would be re-tokenized.
        :param unconditional_prompt: for pmi, the text to condition on instead of the prompt.
        :raises InputError: for no, empty or equal choices, and other bad arguments.
        :raises ContextOverflowError: if prompt and longest choice do not fit.
        """
        request = choice_request(
            self._prompt(prompt, messages),
            choices,
            norm,
            suffix,
            boundary,
            method,
            unconditional_prompt,
        )
        return self._client.choose(request)

    def choose_many(
        self,
        prompts: Sequence[PromptLike] | None = None,
        choices: Sequence[str] | Sequence[Sequence[str]] = (),
        *,
        messages: Sequence[Sequence[Message]] | None = None,
        norm: Norm = "sum",
        suffix: str | EndOfSequence | None = None,
        boundary: Literal["heal", "strict"] = "heal",
        method: str | None = None,
        unconditional_prompt: str | None = None,
    ) -> list[ChoiceScores]:
        """`choose` for many prompts in one call, so that the engine can share and batch work.

        :param choices: the same for all prompts, or one sequence of choices a prompt.
        :param messages: in place of prompts: one list of messages a prompt.
        :raises InputError: as `choose`, naming the prompt that is wrong.
        """
        if (prompts is None) == (messages is None):
            raise InputError("give either prompts or messages", where="prompts")
        if messages is not None:
            prompts = [self.chat_prompt(each) for each in messages]
        prompts = several(prompts or ())
        per_prompt = choices_per_prompt(prompts, choices)
        requests = [
            choice_request(
                Prompt.of(prompt), own, norm, suffix, boundary, method, unconditional_prompt
            )
            for prompt, own in zip(prompts, per_prompt, strict=True)
        ]
        if self._only_core_chooses:
            return choice_tree.choose_many(self._client, requests)
        return [self._client.choose(request) for request in requests]

    def chat_prompt(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = True
    ) -> Prompt:
        """The model's chat template around `messages`, which stay untrusted.

        :raises CapabilityError: if the model has no chat template.
        """
        check_messages(messages)
        return self._client.chat_prompt(messages, add_generation_prompt)

    def with_options(self, **completion: Any) -> Model:
        """The same loaded model with other defaults for `complete`; closing one closes both."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._completion = merged(self._completion, completion)
        return other

    def defaults(self, **arguments: Any) -> dict[str, Any]:
        """What `complete` would use: its defaults, with `arguments` over them."""
        return merged(self._completion, arguments)

    def close(self) -> None:
        """Release the model; a second call does nothing, any other call raises ClosedError."""
        if self._client.closed:
            return
        try:
            self._client.close()
        finally:
            if self._on_close is not None:
                self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._client.closed else self.info.name
        return f"<Model {self.name}: {state}>"

    @property
    def _only_core_chooses(self) -> bool:
        """Whether nobody but core has a `choose` hook, or would miss the calls of its own."""
        return all(
            found.plugin_name == CORE or getattr(found.plugin, "handles_inner_calls", False)
            for found in self._manager.hook.choose.get_hookimpls()
        )

    def _prompt(self, prompt: PromptLike | None, messages: Sequence[Message] | None) -> Prompt:
        if (prompt is None) == (messages is None):
            raise InputError("give either a prompt or messages", where="prompt")
        if messages is not None:
            return self.chat_prompt(messages)
        assert prompt is not None
        return Prompt.of(prompt)
