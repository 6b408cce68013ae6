"""Where a wrapper stands: the model it was given to, and what answers below it."""

from __future__ import annotations

from typing import Any

import pluggy

from autocog_core.hooks.client import BackendClient
from autocog_core.hooks.manager import hooks_of
from autocog_core.lazy import lazy
from autocog_core.types.backend_info import BackendInfo

#: The name that core's own implementations are registered by: none that a model would have.
CORE = "(core)"


class WrapperContext:
    """Handed to `wrapper.attach(place)`, where a wrapper has such a method.

    :ivar caller: the client of the wrapped model. No hook has been called yet.
    :ivar backend: the object with the backend's hook implementations.
    """

    def __init__(
        self, client: BackendClient, manager: pluggy.PluginManager, backend: object, wrapper: object
    ) -> None:
        self.client = client
        self.backend = backend
        self._hooks = manager.hook
        self._wrapper = wrapper

    @property
    def name(self) -> str:
        """The model's name."""
        return self.client.who

    @property
    def info(self) -> BackendInfo:
        """What the backend says of itself. Not to be read inside of a `describe`."""
        return self.client.info

    @lazy
    def backend_hooks(self) -> frozenset[str]:
        """The hooks that the backend itself implements; core makes the others of these."""
        return frozenset(hooks_of(self.backend))

    def call_inner(self, hook: str, **arguments: Any) -> tuple[Any, bool]:
        """What the hook would answer if this wrapper's lookup answered None.

        All wrappers are outside of it, so the answer is one that none of them has changed.

        :returns: the answer (None where nobody has one), and whether the backend itself gave it,
            not core, nor another lookup.
        """
        below = False
        for found in reversed(getattr(self._hooks, hook).get_hookimpls()):
            if found.wrapper or found.hookwrapper:
                continue
            if below:
                answer = found.function(*(arguments[name] for name in found.argnames))
                if answer is not None:
                    return answer, found.plugin is self.backend
            below = below or found.plugin is self._wrapper
        return None, False
