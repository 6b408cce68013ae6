"""Model: what a user holds. A typed facade over one backend and its wrappers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from autocog_core.config.plugin_label import label_of_plugin
from autocog_core.errors import AUTHOR_HINT, AutocogError, PluginBrokenError
from autocog_core.hooks.client import BackendClient
from autocog_core.hooks.engine_lock import EngineLock, engine_lock_of, set_lock
from autocog_core.hooks.manager import hooks_of, new_manager, register
from autocog_core.hooks.plugin_calls import CORE
from autocog_core.hooks.retry import RetryPolicy
from autocog_core.lazy import import_lazily
from autocog_core.model.call_context import CallContext
from autocog_core.model.compare_calls import CompareCalls
from autocog_core.model.completion_arguments import merge_arguments
from autocog_core.model.core_hooks import CoreDefaults
from autocog_core.model.rank_calls import RankCalls
from autocog_core.model.record_calls import RecordCalls
from autocog_core.model.score_calls import ScoreCalls
from autocog_core.model.wrapper_context import WrapperContext
from autocog_core.scoring.prompt_encoding import encode_prompt
from autocog_core.types.backend_info import BackendInfo, Usage
from autocog_core.types.brief import brief
from autocog_core.types.prompt import Message, Prompt, PromptLike
from autocog_core.types.token_tree import TreeQuery

__all__ = ["Model", "NextToken"]

#: Hooks that engines evaluate for others: a wrapper of any of them must see every call.
EVALUATION_HOOKS = {"tokenize", "detokenize", "vocabulary", "greedy_impl", "greedy_tree_impl"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NextToken:
    """One of the likeliest next tokens.

    :ivar token: its id.
    :ivar raw: its bytes.
    :ivar logprob: its natural log-probability.
    """

    token: int
    raw: bytes
    logprob: float

    @property
    def text(self) -> str:
        """`raw` as text; bytes that are not UTF-8 become U+FFFD."""
        return self.raw.decode("utf-8", errors="replace")


class Model(RecordCalls, RankCalls, ScoreCalls, CompareCalls):
    """One backend with its wrappers, behind one hook manager.

    :param backend: an object with hook implementations (see `autocog_core.hooks.specs`).
    :param wrappers: plugins that wrap its hooks, outermost first. If one has a method `attach`, it
        receives a `WrapperContext`.
    :param completion: default arguments of `complete`; None takes the backend's
        `completion_kwargs`.
    :param retry: when to retry failed calls; None takes the backend's `retry`.
    :param engine_lock: held during calls of a backend with `max_concurrency` 1; None takes the
        backend's `lock`, and without one a lock for each engine (`engine_lock_of`).
    :param name: the model's name, for messages.
    :param on_close: called once, before the model is closed.
    :raises PluginBrokenError: if a plugin has a hook that no specification declares.
    """

    def __init__(
        self,
        backend: object,
        *,
        wrappers: Sequence[object] = (),
        completion: Mapping[str, Any] | None = None,
        template_arguments: Mapping[str, Any] | None = None,
        retry: RetryPolicy | None = None,
        engine_lock: EngineLock | None = None,
        name: str | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.name = name or type(backend).__name__
        self._backend = backend
        self._on_close = on_close
        if completion is None:
            completion = getattr(backend, "completion_kwargs", None)
        self._completion = merge_arguments(completion or {})
        engine_lock = engine_lock or engine_lock_of(backend)
        set_lock(backend, engine_lock.lock)
        retry = retry or getattr(backend, "retry", None) or RetryPolicy()
        manager = new_manager()
        self._manager = manager
        self._client = BackendClient(
            manager,
            self.name,
            engine_lock,
            retry,
            backend,
            backend_hooks=lambda: hooks_of(backend),
            label=label_of_plugin,
        )
        self._client.template_arguments = dict(template_arguments or {})
        register(manager, CoreDefaults(self._client), CORE)
        register(manager, backend, self.name)
        # pluggy calls what was registered last first: the outermost wrapper goes in last.
        for index, wrapper in reversed(list(enumerate(wrappers))):
            register(manager, wrapper, f"{type(wrapper).__name__} ({index})")
        hooks = (hook for wrapper in wrappers for hook in manager.get_hookcallers(wrapper) or ())
        self._client.is_watched = any(hook.name in EVALUATION_HOOKS for hook in hooks)
        for wrapper in wrappers:
            if attach := getattr(wrapper, "attach", None):
                self._attach(attach, WrapperContext(self._client, manager, backend, wrapper))

    def _attach(self, attach: Callable[[WrapperContext], None], context: WrapperContext) -> None:
        try:
            attach(context)
        except AutocogError:
            raise
        except Exception as error:
            label = label_of_plugin(context.wrapper)
            raise PluginBrokenError(
                f"attach of {label} raised {type(error).__name__}: {error}",
                where=self.name,
                hint=AUTHOR_HINT,
            ) from error

    @property
    def backend(self) -> object:
        """The object with the hook implementations."""
        return self._backend

    @property
    def client(self) -> BackendClient:
        """The typed hook calls, for code that builds on models."""
        return self._client

    @property
    def info(self) -> BackendInfo:
        """The backend's description: vocabulary size, context length, special tokens, ..."""
        return self._client.info

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Names of the hooks that the backend itself implements and supports, sorted."""
        return self._client.capabilities

    @property
    def usage(self) -> Usage | None:
        """Tokens used so far, all wrappers together; None if the backend does not count them."""
        return self._client.usage()

    def encode(self, prompt: PromptLike) -> list[int]:
        """Return the token ids that the model receives for `prompt`: with BOS, if it has one."""
        return encode_prompt(self._client, Prompt.of(prompt))

    def next_tokens(
        self,
        prompt: PromptLike | None = None,
        k: int = 10,
        *,
        messages: Sequence[Message] | None = None,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> list[NextToken]:
        """Return the `k` likeliest next tokens, likeliest first.

        :param prompt: the text before.
        :param k: how many tokens; at most the size of the vocabulary.
        :param messages: a chat, in place of `prompt`.
        :param template_arguments: as in `choose`.
        """
        context = self._call_context()
        tokens = encode_prompt(self._client, context.prompt(prompt, messages, template_arguments))
        no_nodes = np.zeros(0, dtype=np.int32)
        query = TreeQuery(
            prefix=tokens,
            tokens=no_nodes,
            parents=no_nodes,
            top_at=np.array([-1], dtype=np.int32),
            top_k=max(1, min(k, self.info.vocabulary_size)),
        )
        scores = self._client.greedy_tree([query])[0]
        return [
            NextToken(token=token, raw=self._client.detokenize([token]), logprob=min(0.0, logprob))
            for token, logprob in zip(
                scores.top_tokens[0].tolist(), scores.top_logprobs[0].tolist(), strict=True
            )
            if token >= 0
        ]

    def chat_prompt(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> Prompt:
        """Return the model's chat template around `messages`, whose contents stay untrusted.

        :param messages: role and content of each message.
        :param add_generation_prompt: whether the assistant's turn is opened at the end.
        :param template_arguments: as in `choose`.
        :raises CapabilityError: if the model has no chat template.
        """
        return self._call_context().chat_prompt(messages, add_generation_prompt, template_arguments)

    def with_options(self, **completion: Any) -> Model:
        """Return the same loaded model with other defaults for `complete`; closing one closes both.

        :param completion: arguments of `complete`. None removes a default.
        """
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._completion = merge_arguments(self._completion, completion)
        return other

    def defaults(self, **arguments: Any) -> dict[str, Any]:
        """Return the arguments that `complete` uses: the defaults, updated with `arguments`."""
        return merge_arguments(self._completion, arguments)

    def close(self) -> None:
        """Release the model. Later calls raise ClosedError; a second `close` does nothing."""
        if self._client.is_closed:
            return
        try:
            if self._on_close is not None:
                self._on_close()
        finally:
            self._client.close()

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
        """Return the model's name, and that of what it runs on, as one line."""
        state = "closed" if self._client.is_closed else brief(self.info.name, 50)[1:-1]
        return f"<Model {brief(self.name, 36)[1:-1]}: {state}>"

    def _repr_html_(self) -> str:
        """Return what the model is for a cell of a notebook."""
        html: str = import_lazily("autocog_core.html.notebook", "model_in_cell")(self)
        return html

    def _call_context(self) -> CallContext:
        return CallContext(
            client=self._client, completion=self._completion, core_chooses=self._core_chooses
        )

    def _core_chooses(self) -> bool:
        """Return whether every `choose` hook but core's belongs to a wrapper of inner calls."""
        return all(
            hook.plugin_name == CORE or getattr(hook.plugin, "handles_inner_calls", False)
            for hook in self._manager.hook.choose.get_hookimpls()
        )
