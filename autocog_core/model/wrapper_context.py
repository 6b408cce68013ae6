"""What a wrapper knows of its model: the client, the backend, and the hooks inside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pluggy

from autocog_core.hooks.client import BackendClient
from autocog_core.hooks.manager import hooks_of
from autocog_core.lazy import lazy
from autocog_core.types.backend_info import BackendInfo


class WrapperContext:
    """Passed to `wrapper.attach(context)`, if a wrapper has this method.

    :ivar client: the client of the wrapped model. No hook has been called yet.
    :ivar backend: the object with the backend's hook implementations.
    :ivar wrapper: the wrapper itself.
    """

    def __init__(
        self, client: BackendClient, manager: pluggy.PluginManager, backend: object, wrapper: object
    ) -> None:
        self.client = client
        self.backend = backend
        self._hooks = manager.hook
        self.wrapper = wrapper

    @property
    def name(self) -> str:
        """The model's name."""
        return self.client.model_name

    @property
    def info(self) -> BackendInfo:
        """The backend's description. Do not read it inside a `describe` hook."""
        return self.client.info

    @lazy
    def backend_hooks(self) -> frozenset[str]:
        """The hooks that the backend itself implements; core derives the others."""
        return frozenset(hooks_of(self.backend))

    def call_inner(self, hook: str, **arguments: Any) -> tuple[Any, bool]:
        """Call the implementations of a hook that come after this wrapper's.

        For wrappers that look an answer up first, such as a cache. Hook wrappers are not called,
        so none of them has changed the answer.

        :param hook: the hook's name.
        :param arguments: its arguments.
        :returns: the answer, or None if there is none, and whether the backend itself gave it.
        """
        is_inner = False
        for impl in reversed(getattr(self._hooks, hook).get_hookimpls()):
            if impl.wrapper or impl.hookwrapper:
                continue
            if impl.plugin is self.backend and not self._backend_serves(hook, arguments):
                continue
            if is_inner:
                answer = impl.function(*(arguments[name] for name in impl.argnames))
                if answer is not None:
                    return answer, impl.plugin is self.backend
            is_inner = is_inner or impl.plugin is self.wrapper
        return None, False

    def _backend_serves(self, hook: str, arguments: Mapping[str, Any]) -> bool:
        return hook != "complete" or self.client.backend_serves(arguments["request"])
