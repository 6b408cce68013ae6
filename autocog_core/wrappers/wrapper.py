"""Base class and option types of wrappers.

The base class is optional: any object with hook implementations can be a wrapper.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

from autocog_core.config.options import BackendOptions
from autocog_core.errors import UsageError
from autocog_core.hooks.specs import CONTRACT_VERSION
from autocog_core.model.wrapper_context import WrapperContext

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
