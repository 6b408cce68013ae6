"""Calls of one model's hooks, one by one: with the engine's lock, and with retries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn, TypeVar

import pluggy

from autocog_core.errors import AutocogError, CapabilityError, ClosedError, EngineError
from autocog_core.hooks import answer_checks, engine_lock
from autocog_core.hooks.engine_lock import EngineLock
from autocog_core.hooks.plugin_calls import PluginCalls
from autocog_core.hooks.retry import RetryPolicy
from autocog_core.types.backend_info import BackendInfo

Answer = TypeVar("Answer")

#: Maximum depth of nested `describe` calls, which wrappers may cause; deeper ones never end.
MAX_DESCRIBE_DEPTH = 8
#: Hooks that need no more of an engine than its tokenizer.
TOKENIZER_HOOKS = frozenset({"tokenize", "detokenize", "vocabulary", "chat_prompt"})


class EngineCalls:
    """The hooks of one model, and the engine that all its calls go to.

    :param manager: the model's pluggy manager.
    :param model_name: the model's name, for messages.
    :param engine_lock: held during every call of an engine that declares `max_concurrency` 1.
    :param retry: the retries of engine calls.
    :param backend: the object with the backend's hook implementations.
    :param backend_hooks: returns the names of the hooks that the backend itself implements.
    :param label: returns a plugin's name with its distribution and version, for messages.
    :ivar is_closed: whether `close` was called.
    """

    def __init__(
        self,
        manager: pluggy.PluginManager,
        model_name: str,
        engine_lock: EngineLock,
        retry: RetryPolicy,
        backend: object,
        backend_hooks: Callable[[], Sequence[str]],
        label: Callable[[object], str],
    ) -> None:
        self.model_name = model_name
        self.is_closed = False
        self._manager = manager
        self._backend = backend
        self._hooks = manager.hook
        self._plugins = PluginCalls(manager.hook, model_name, backend, label)
        self._engine_lock = engine_lock
        self._retry = retry
        self._backend_hooks = backend_hooks
        self._info: BackendInfo | None = None
        self._info_lock = threading.RLock()
        self._guard: AbstractContextManager[Any] | None = None
        self._capabilities: tuple[str, ...] | None = None
        self._describe_depth = 0
        self._tokenizes_in_fork = False

    @property
    def info(self) -> BackendInfo:
        """Description of the backend; the hook is called on the first access."""
        return self._info or self._read_info()

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Names of the working hooks that the backend itself implements, sorted."""
        if self._capabilities is None:
            working = self.info.capabilities
            self._capabilities = tuple(
                hook for hook in self._backend_hooks() if working is None or hook in working
            )
        return self._capabilities

    @property
    def hooks(self) -> Any:
        """The hooks themselves, without lock, retries or checks."""
        return self._hooks

    def measure_vocabulary_size(self) -> int:
        """Return V for a backend without `describe`.

        :raises CapabilityError: if no other hook gives it either.
        """
        vocabulary = self._hooks.vocabulary()
        row = self._hooks.greedy_impl(tokens=[0]) if vocabulary is None else None
        if vocabulary is None and row is None:
            has_hook = "describe" in self._backend_hooks()
            raise CapabilityError(
                "its backend's `describe` returned None"
                if has_hook
                else "its backend has no `describe`, and neither `vocabulary` nor `greedy_impl`, "
                "which would give the size of the vocabulary",
                where=self.model_name,
                hint="implement `describe`: return BackendInfo(name=..., vocabulary_size=...)",
            )
        # Any sequence is accepted here: the call that uses it checks it.
        size: int = len(row if vocabulary is None else vocabulary)  # type: ignore[arg-type]
        return size

    def close(self) -> None:
        """Release the engine when its running calls have ended, and reject later calls."""
        self.is_closed = True
        if self._engine_lock.forks != engine_lock.forks:
            # The engine belongs to the parent process, which goes on using it.
            return
        # Reading `info` now might contact a server that is down.
        with self._guard or self._engine_lock.lock:
            self.call_unlocked("close", lambda: self._hooks.close())

    def require_open(self) -> None:
        """Reject calls of a closed model, and of one that was loaded before a fork.

        :raises ClosedError: if the model is closed.
        :raises EngineError: in a process that was forked after the model was loaded.
        """
        if self.is_closed:
            raise ClosedError("the model is closed", where=self.model_name, hint="load it again")
        self._require_own_process()

    def tokenize_in_fork(self) -> None:
        """Allow calls of the tokenizer in a process that was forked after the model was loaded.

        For a worker with one thread, and a tokenizer that needs neither threads nor connections.
        """
        self._tokenizes_in_fork = True

    def call_unlocked(self, hook: str, call: Callable[[], Any]) -> Any:
        """Call a hook without the lock, for engines that take it themselves.

        :param hook: the hook's name.
        :param call: calls the hook.
        :returns: the hook's answer, unchecked; None if no plugin gives one.
        """
        try:
            return call()
        except AutocogError:
            raise
        except Exception as error:  # noqa: BLE001 - it is raised with the plugin's name
            self._raise_named(hook, error)

    def check(self, hook: str, check: Callable[..., None], *arguments: Any) -> None:
        """Check what a hook returned; see `PluginCalls.check`."""
        self._plugins.check(hook, check, *arguments)

    def _require_parameter(self, hook: str, parameter: str) -> None:
        """Refuse a value that a plugin's implementation of a hook would never see.

        :raises CapabilityError: that names the plugin.
        """
        if plugin := self._plugins.find_without_parameter(hook, parameter):
            raise CapabilityError(
                f"{plugin} cannot pass them on",
                where=parameter,
                hint="leave them out",
            )

    def _require_own_process(self) -> None:
        if self._engine_lock.forks != engine_lock.forks:
            raise EngineError(
                "the model was loaded before this process was forked",
                where=self.model_name,
                hint="load it in this process, or start processes by spawn",
            )

    def _read_info(self) -> BackendInfo:
        self.require_open()
        # The engine's lock first: who holds it may need the description.
        with self._engine_lock.lock, self._info_lock:
            if self._info is not None:
                return self._info
            # A wrapper's `describe` may call hooks, whose wrappers may read the info again.
            if self._describe_depth == MAX_DESCRIBE_DEPTH:
                raise self._plugins.contract_error(
                    "describe", "it needs its own result; call the backend's hooks instead"
                )
            self._describe_depth += 1
            try:
                info: BackendInfo = self.call_unlocked("describe", lambda: self._hooks.describe())
            finally:
                self._describe_depth -= 1
            self.check("describe", answer_checks.check_describe, info, vars(self._hooks).keys())
            self._guard = self._engine_lock.lock if info.max_concurrency <= 1 else nullcontext()
            self._info = info
            return info

    def _engine_call(
        self,
        hook: str,
        call: Callable[[], Answer | None],
        may_retry: Callable[[], bool] = lambda: True,
        callers_errors: Sequence[BaseException] = (),
    ) -> Answer:
        """Call a hook that computes, with retries unless the engine retries itself."""
        if self.info.retries_itself:
            return self._call(hook, call, callers_errors)
        return self._retry.run(lambda: self._call(hook, call, callers_errors), may_retry)

    def _call(
        self,
        hook: str,
        call: Callable[[], Answer | None],
        callers_errors: Sequence[BaseException] = (),
    ) -> Answer:
        """Call a hook, alone if the engine takes one call at a time.

        :param callers_errors: exceptions of the caller's own code, which are not the plugin's.
        """
        guard = self._guard
        # Before the lock, which another thread of the parent process may have held.
        if guard is None or self._engine_lock.forks != engine_lock.forks:
            guard = self._find_guard(hook)
        with guard:
            # After the wait for the lock: another thread may have closed the model meanwhile.
            if self.is_closed:
                self.require_open()
            try:
                answer = call()
            except AutocogError:
                raise
            except Exception as error:  # noqa: BLE001 - it is raised with the plugin's name
                self._raise_named(hook, error, callers_errors)
        if answer is None:
            raise CapabilityError(
                f'its backend does not offer "{hook}"', where=self.model_name, hook=hook
            )
        return answer

    def call_unchecked(self, hook: str, **arguments: Any) -> Any:
        """Return what a hook returns, whatever it is; exceptions name their plugin as ever."""
        try:
            return getattr(self._hooks, hook)(**arguments)
        except AutocogError:
            raise
        except Exception as error:  # noqa: BLE001 - it is raised with the plugin's name
            self._raise_named(hook, error)

    def _find_guard(self, hook: str) -> AbstractContextManager[Any]:
        """Return what to hold during a call; the first call must read the description for it."""
        if hook in TOKENIZER_HOOKS and self._tokenizes_in_fork:
            return nullcontext()
        self._read_info()
        assert self._guard is not None
        return self._guard

    def _raise_named(
        self, hook: str, error: Exception, callers_errors: Sequence[BaseException] = ()
    ) -> NoReturn:
        """Raise an exception that is not autocog's own as an error that names its plugin."""
        if any(error is own for own in callers_errors):
            raise error
        named = self._plugins.error_of(hook, error)
        if named is error:
            raise error
        raise named from error
