"""Base class and option types of wrappers.

The base class is optional: any object with hook implementations can be a wrapper.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, ClassVar

from autocog_core.config.options import BackendOptions
from autocog_core.errors import UsageError
from autocog_core.hooks.specs import CONTRACT_VERSION
from autocog_core.model.wrapper_context import WrapperContext
from autocog_core.wrappers.watching import Watching, add_watching_hooks

#: Base class of a wrapper's options: unknown names are refused.
WrapperOptions = BackendOptions

#: What a hook implementation with `@hookimpl(wrapper=True)` returns: it yields once, receives the
#: answer, and returns it.
HookWrapper = Generator[None, Any, Any]


class Wrapper:
    """A wrapper of one model.

    :cvar contract: version of the hook contract that the wrapper was written for.
    :cvar Options: pydantic model of the constructor's arguments.
    :cvar handles_inner_calls: whether the wrapper treats the calls by which core answers a
        `choose` like the `choose` itself. Core may then score many choices together, without a
        `choose` call for each.
    """

    contract: ClassVar[int] = CONTRACT_VERSION
    Options: ClassVar[type[WrapperOptions]] = WrapperOptions
    handles_inner_calls: ClassVar[bool] = False

    _context: WrapperContext | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.around is not Wrapper.around:
            if "handles_inner_calls" not in vars(cls) and not hasattr(cls, "choose"):
                # It sees the inner calls, and changes no `choose`.
                cls.handles_inner_calls = True
            add_watching_hooks(cls)

    def around(self, hook: str, arguments: Mapping[str, Any]) -> Watching:
        """Watch a call: override this to see every hook call without a method for each hook.

        It is a generator that yields once: before the `yield`, the call has not begun, and the
        value of the `yield` is the answer. An error of the call is raised there. The caller gets
        the answer, or the error, in any case. Do not change arguments or answers in place.

        A hook that the class implements itself does not come here, nor does `run_automata`:
        engines do not run whole automata inside, so that every evaluation is seen.

        :param hook: the name of the hook.
        :param arguments: its arguments by name.
        """
        yield

    def attach(self, context: WrapperContext) -> None:
        """Store the context; the model calls this once.

        :param context: the wrapped model.
        :raises UsageError: if the wrapper is attached to a model already.
        """
        if self._context is not None:
            raise UsageError(
                f"wraps {self._context.name} already",
                where=f"wrapper {type(self).__name__}",
                hint="create one wrapper for each model",
            )
        self._context = context

    # A method, not a property: pluggy reads every attribute of the objects that it registers.
    def context(self) -> WrapperContext:
        """Return the context of the wrapped model."""
        assert self._context is not None, "the wrapper is attached to no model"
        return self._context
