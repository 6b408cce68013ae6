"""Groups of options that several commands share.

A group is a dataclass whose fields are options. A command takes it as one argument:

    def greedy(prompt: PromptText, *, model_options: ModelOptions) -> None: ...

    app.command()(expand_options(greedy))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints

from autocog_core.cli.options import Debug, Quiet

#: Options of every command. Their callbacks set the session, so that no command receives them.
_GENERAL_OPTIONS = {"quiet": Quiet, "debug": Debug}


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with a signature for typer.

    The signature has one parameter per option of a group, and ends with `--quiet` and `--debug`.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}

    @wraps(command)
    def expanded(**values: Any) -> None:
        for name in _GENERAL_OPTIONS:
            del values[name]
        for name, group in groups.items():
            options = {field.name: values.pop(field.name) for field in fields(group)}
            values[name] = group(**options)
        command(**values)

    parameters = list(_expand_parameters(signature(command), hints))
    expanded.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def _expand_parameters(original: Signature, hints: dict[str, Any]) -> Iterator[Parameter]:
    for name, parameter in original.parameters.items():
        hint = hints[name]
        if is_dataclass(hint):
            options = get_type_hints(hint, include_extras=True)
            for field in fields(hint):
                yield _keyword(field.name, options[field.name], field.default)
        else:
            yield _keyword(name, hint, parameter.default)
    for name, hint in _GENERAL_OPTIONS.items():
        yield _keyword(name, hint, False)


def _keyword(name: str, annotation: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
