"""From the arguments of `complete` to a validated request."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from autocog_core.errors import ConfigError, InputError
from autocog_core.model.constraint_arguments import CONSTRAINT_ARGUMENTS, make_constraint
from autocog_core.toolkit.engine_options import REQUEST_ARGUMENTS
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.prompt import Prompt, check_text

#: Names that engines use for the same argument: each works on every backend.
ARGUMENT_ALIASES = {"max_new_tokens": "max_tokens", "repeat_penalty": "repetition_penalty"}

_MIN_INTEGERS = {"max_tokens": 1, "top_k": 0, "n": 1}
_NUMBER_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, sys.float_info.max),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
}


def merge_arguments(*arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return several sets of arguments as one, under autocog's names; later ones win.

    A text has one constraint: a later one replaces those before, of whatever kind.
    """
    merged: dict[str, Any] = {}
    for mapping in arguments:
        if any(mapping.get(name) is not None for name in CONSTRAINT_ARGUMENTS):
            for name in CONSTRAINT_ARGUMENTS:
                merged.pop(name, None)
        merged |= {ARGUMENT_ALIASES.get(name, name): value for name, value in mapping.items()}
    return merged


def validate_defaults(arguments: Mapping[str, Any], where: str) -> None:
    """Raise if no call can be made with these default arguments.

    :param where: the file and key that hold them, for the message.
    :raises ConfigError: naming the first argument that is wrong.
    """
    try:
        make_completion_request(Prompt(()), arguments)
    except InputError as error:
        raise ConfigError(error.message, where=f"{where}.{error.where}", hint=error.hint) from error


def make_completion_request(prompt: Prompt, arguments: Mapping[str, Any]) -> CompletionRequest:
    """Return the request; arguments that core does not know become `extra`.

    :raises InputError: for a value of the wrong type or out of range.
    """
    standard: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    arguments = merge_arguments(arguments)
    if (constraint := make_constraint(arguments)) is not None:
        standard["constraint"] = constraint
    for name, value in arguments.items():
        if value is None or name in CONSTRAINT_ARGUMENTS:
            continue
        if name == "extra":
            extra.update(_validate(name, value))
        elif name == "stop":
            standard[name] = _validate_stops(value)
        elif name in REQUEST_ARGUMENTS:
            standard[name] = _validate(name, value)
        else:
            extra[name] = value
    if standard.get("n", 1) > 1 and "on_text" in standard:
        raise InputError("one completion can be streamed, not several", where="n")
    return CompletionRequest(prompt=prompt, **standard, extra=extra)


def _validate(name: str, value: Any) -> Any:
    if name in _MIN_INTEGERS:
        minimum = _MIN_INTEGERS[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise InputError(f"expected a whole number >= {minimum}, got {value!r}", where=name)
    elif name in _NUMBER_RANGES:
        low, high = _NUMBER_RANGES[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:  # NaN fails every comparison
            limits = f"{low:g} to {high:g}" if high <= 1 else f"{low:g} or more"
            raise InputError(f"expected a number, {limits}, got {value!r}", where=name)
        return float(value)
    elif name == "seed":
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
            raise InputError(f"expected a whole number >= 0, got {value!r}", where=name)
    elif name == "on_text" and not callable(value):
        raise InputError(f"expected a function, got {value!r}", where=name)
    elif name == "extra" and not isinstance(value, Mapping):
        raise InputError(f"expected names and values, got {value!r}", where=name)
    return value


def _validate_stops(value: Any) -> tuple[str, ...]:
    stops = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    for stop in stops:
        if not isinstance(stop, str) or not stop:
            raise InputError(f"expected texts that are not empty, got {stop!r}", where="stop")
        check_text(stop, "stop")
    return tuple(dict.fromkeys(stops))
