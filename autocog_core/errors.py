"""The hierarchy of errors, and helpers for the wording of their messages.

`UsageError` and its subclasses: the caller can correct the call (the command line exits with 2).
`EngineError` and its subclasses: an engine failed (exit code 1). `raise ... from` keeps the cause.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import ClassVar

from autocog_core.redaction import redact

#: The hint for errors in a plugin's code.
AUTHOR_HINT = "report this to the plugin's authors"
#: With more valid names than this, `suggest` compares none of them.
_MAX_NAMES = 1_000
#: Characters of a name or a text in a message.
_MAX_SHOWN = 80


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return a hint: the nearest valid name, or all valid names if none is near."""
    names = sorted(valid)
    matches = get_close_matches(name, names, n=1, cutoff=0.5)
    if matches:
        return f'did you mean "{matches[0]}"?'
    if names:
        return "valid names: " + ", ".join(names)
    return ""


def shorten(text: str, limit: int = _MAX_SHOWN) -> str:
    """Return the beginning of a text for a message, at most `limit` characters with "..."."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def suggest(name: str, names: Collection[str]) -> str:
    """Return the hint of `did_you_mean` with a bounded length; "" if there are too many names."""
    if len(names) > _MAX_NAMES:
        return ""
    hint = did_you_mean(shorten(name), [valid for valid in names if len(valid) <= _MAX_SHOWN])
    return shorten(hint, 4 * _MAX_SHOWN)


def append_hint(message: str, hint: str) -> str:
    """Return a message with its hint, in the form that `AutocogError` prints them."""
    return f"{message}; {hint}" if hint else message


class AutocogError(Exception):
    """Base class of all errors that autocog raises deliberately.

    :param message: what is wrong, a clause without a full stop.
    :param where: where it is wrong: file and key, hook, model or argument.
    :param hint: what to do about it.
    :param retryable: whether the same call may succeed if it is repeated.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, where: str = "", hint: str = "", retryable: bool = False
    ) -> None:
        # Redact secrets here, so that no form of the error (repr, args) shows them. Pass a single
        # argument to `Exception`: unpickling restores the other attributes from `__dict__`.
        self.message = redact(message)
        self.where = redact(where)
        self.hint = redact(hint)
        super().__init__(self.message)
        self.retryable = retryable
        #: The number of calls before this error was raised to the caller (0: never retried).
        self.attempts = 0

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return append_hint(text, self.hint)


class UsageError(AutocogError):
    """A wrong name, option, file or argument, which the caller can correct."""

    exit_code = 2


class ConfigError(UsageError):
    """A config file that is missing or malformed, or names something that does not exist."""


class InputError(UsageError, ValueError):
    """A prompt, choice, program or argument that is not valid on any engine."""


class ContextOverflowError(InputError):
    """The requested tokens do not fit the model's context."""


class CapabilityError(UsageError):
    """The backend lacks a capability that the call needs.

    :param hook: the missing hook; the command line lists the installed backends that have it.
    """

    def __init__(
        self,
        message: str,
        *,
        where: str = "",
        hint: str = "",
        retryable: bool = False,
        hook: str = "",
    ) -> None:
        super().__init__(message, where=where, hint=hint, retryable=retryable)
        self.hook = hook


class ClosedError(UsageError):
    """The model was closed before the call."""


class PluginError(UsageError):
    """A plugin that is not usable."""


class PluginNotInstalledError(PluginError):
    """No installed distribution has a plugin of that name."""


class PluginDependencyError(PluginError):
    """The plugin is installed, but a package that it imports is not."""


class PluginBrokenError(PluginError):
    """The plugin is installed, but its import fails or it violates the hook contract."""


class PluginContractError(PluginError):
    """The plugin implements another version of the hook contract."""


class PluginConflictError(PluginError):
    """Two distributions have a plugin of the same name."""


class FailedRowsError(AutocogError):
    """Too many rows of a run have errors: all of them, or as many as the run allows."""


class EngineError(AutocogError):
    """The engine failed during a call."""


class ModelLoadError(EngineError):
    """The engine could not load a model from its options."""


class OutOfMemoryError(EngineError):
    """The engine ran out of memory, also after it freed its caches and halved its batches."""


class NumericsError(EngineError):
    """The engine returned a number that is not a log-probability (NaN or above 0)."""


class ContractError(EngineError):
    """A hook returned a value that its specification does not allow."""


class HookError(EngineError):
    """A plugin's code raised an exception that is not one of autocog's: an error of the plugin."""
