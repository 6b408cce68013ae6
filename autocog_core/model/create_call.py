"""The call of a backend's `create`, which takes its options in one of two ways."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

from autocog_core.errors import AUTHOR_HINT, PluginBrokenError

#: A first parameter of this name, which no option has, gets all options as one object.
OPTIONS_PARAMETER = "options"
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def call_create(backend: type[Any], valid: Any, configured: Mapping[str, Any]) -> dict[str, Any]:
    """Load a backend's engine, and return the keyword arguments of its class.

    :param backend: the class, with `create(cls, options)` or `create(cls, **options)`.
    :param valid: the validated options, an instance of `backend.Options`.
    :param configured: the values of the options that are set; the class has the other defaults.
    :raises PluginBrokenError: if `create` returns something else.
    """
    created = (
        backend.create(valid) if takes_options_object(backend) else backend.create(**configured)
    )
    if not isinstance(created, dict):
        raise PluginBrokenError(
            f"returned {type(created).__name__}, not a dict of the arguments of the class",
            where=f"{backend.__name__}.create",
            hint=AUTHOR_HINT,
        )
    return created


def accept_names(backend: type[Any]) -> None:
    """Let a `create(cls, options)` that a class defines also take the options by name.

    :param backend: a class with `validate_options`.
    """
    create = vars(backend).get("create")
    if not isinstance(create, classmethod) or not takes_options_object(backend):
        return
    function = create.__func__

    @functools.wraps(function)
    def create_with(cls: Any, *given: Any, **options: Any) -> Any:
        return function(cls, cls.validate_options(*given, **options))

    # Through `wraps`, it has the parameters of `function` for those who read its signature.
    setattr(backend, "create", classmethod(create_with))  # noqa: B010 - mypy: a method


def takes_options_object(backend: type[Any]) -> bool:
    """Return whether `create` takes the validated options as one object, `create(cls, options)`."""
    if OPTIONS_PARAMETER in getattr(backend.Options, "model_fields", {}):
        return False
    try:
        parameters = list(inspect.signature(backend.create).parameters.values())
    except (TypeError, ValueError):  # what is implemented in C may have no signature
        return False
    return bool(parameters) and (
        parameters[0].name == OPTIONS_PARAMETER and parameters[0].kind in _POSITIONAL
    )
