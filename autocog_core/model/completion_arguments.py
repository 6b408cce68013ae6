"""From what a caller writes to a checked CompletionRequest."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from autocog_core.errors import ConfigError, InputError
from autocog_core.toolkit.engine_options import REQUEST_ARGUMENTS
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.prompt import Prompt, check_text

#: Engines' own names for the same thing: each works on every backend.
ARGUMENT_ALIASES = {"max_new_tokens": "max_tokens", "repeat_penalty": "repetition_penalty"}

_INTEGERS = {"max_tokens": 1, "top_k": 0, "n": 1}
_NUMBERS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, sys.float_info.max),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
}


def merged(*arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Several sets of arguments as one, under autocog's names; later ones count."""
    return {
        ARGUMENT_ALIASES.get(name, name): value
        for given in arguments
        for name, value in given.items()
    }


def validate_defaults(arguments: Mapping[str, Any], where: str) -> None:
    """Refuse default arguments that no call could be made with.

    :param where: the file and key that they stand under.
    :raises ConfigError: naming the first one that is wrong.
    """
    try:
        completion_request(Prompt(()), arguments)
    except InputError as error:
        raise ConfigError(error.message, where=f"{where}.{error.where}", hint=error.hint) from error


def completion_request(prompt: Prompt, arguments: Mapping[str, Any]) -> CompletionRequest:
    """The request that `arguments` make; names that core does not know become `extra`.

    :raises InputError: for a value of the wrong type or out of range.
    """
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in merged(arguments).items():
        if value is None:
            continue
        if name == "extra":
            extra.update(_checked(name, value))
        elif name == "stop":
            known[name] = _stops(value)
        elif name in REQUEST_ARGUMENTS:
            known[name] = _checked(name, value)
        else:
            extra[name] = value
    if known.get("n", 1) > 1 and "on_text" in known:
        raise InputError("one completion can be streamed, not several", where="n")
    return CompletionRequest(prompt, **known, extra=extra)


def _checked(name: str, value: Any) -> Any:
    if name in _INTEGERS:
        least = _INTEGERS[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"expected a whole number >= {least}, got {value!r}", where=name)
    elif name in _NUMBERS:
        low, high = _NUMBERS[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:  # NaN fails every comparison
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


def _stops(value: Any) -> tuple[str, ...]:
    stops = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    for stop in stops:
        if not isinstance(stop, str) or not stop:
            raise InputError(f"expected texts that are not empty, got {stop!r}", where="stop")
        check_text(stop, "stop")
    return tuple(dict.fromkeys(stops))
