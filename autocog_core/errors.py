"""One hierarchy of errors: what went wrong, where, what to do about it, and whether to try again.

`UsageError` and below are the caller's to mend (the command line exits with 2); `EngineError` and
below are failures of an engine (exit code 1). The cause is always kept (`raise ... from`).
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

from autocog_core.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """A hint that names the nearest valid name, or lists what there is."""
    names = sorted(valid)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f'did you mean "{near[0]}"?'
    if names:
        return "valid names: " + ", ".join(names)
    return ""


class AutocogError(Exception):
    """Base of every error that autocog raises on purpose.

    :param message: what is wrong, a clause without a full stop.
    :param where: file and key, hook, model or argument in which it is wrong.
    :param hint: what to do about it.
    :param retryable: whether the same call may succeed if it is made again.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, where: str = "", hint: str = "", retryable: bool = False
    ) -> None:
        # Secrets are taken out here, so that no form of the error (repr, args) shows them. One
        # argument only: the rest is in `__dict__`, from which errors are unpickled.
        self.message = redact(message)
        self.where = redact(where)
        self.hint = redact(hint)
        super().__init__(self.message)
        self.retryable = retryable
        #: How often the call was made before this error was let through (0: never retried).
        self.attempts = 0

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        if self.hint:
            text += f"; {self.hint}"
        return text


class UsageError(AutocogError):
    """The caller can mend it: a wrong name, option, file or argument."""

    exit_code = 2


class ConfigError(UsageError):
    """A config file that is missing, malformed, or names something that does not exist."""


class InputError(UsageError, ValueError):
    """A prompt, choice or argument that no engine could serve."""


class ContextOverflowError(InputError):
    """The tokens asked for do not fit the model's context."""


class CapabilityError(UsageError):
    """The backend does not offer what the call needs.

    :param hook: the hook that is missing; the command line lists installed backends that have it.
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
    """A plugin that cannot be used."""


class PluginNotInstalledError(PluginError):
    """No installed distribution offers a plugin of that name."""


class PluginDependencyError(PluginError):
    """The plugin is installed, but something that it imports is not."""


class PluginBrokenError(PluginError):
    """The plugin is installed, but fails on its own: at import, or against the hook contract."""


class PluginContractError(PluginError):
    """The plugin was written for another version of the hook contract."""


class PluginConflictError(PluginError):
    """Two distributions offer a plugin of the same name."""


class EngineError(AutocogError):
    """The engine failed while it worked."""


class ModelLoadError(EngineError):
    """The engine could not make a model of what it was given."""


class OutOfMemoryError(EngineError):
    """The engine ran out of memory, after it had freed its caches and halved its batches."""


class NumericsError(EngineError):
    """The engine answered with something that is not a log-probability (NaN, above 0)."""


class ContractError(EngineError):
    """A hook answered with something that its specification does not allow."""


#: Names that are compared with an unknown one, and characters of names and texts in messages.
_MOST_NAMES = 1_000


_SHOWN = 80


def cut(text: str) -> str:
    """As much of a name or a text as a message has room for."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def suggestion(name: str, names: Collection[str]) -> str:
    """Which of the names may be meant, or what they are; nothing where they are too many."""
    if len(names) > _MOST_NAMES:
        return ""
    hint = did_you_mean(cut(name), [each for each in names if len(each) <= _SHOWN])
    return hint if len(hint) <= 4 * _SHOWN else f"{hint[: 4 * _SHOWN]}..."


def with_hint(what: str, hint: str) -> str:
    """What is wrong, and what was perhaps meant."""
    return f"{what}: {hint}" if hint else what
