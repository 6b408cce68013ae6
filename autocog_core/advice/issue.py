"""Issue warnings through Python's `warnings`, each once for a place, and silence them by code."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Hashable
from types import FrameType

from autocog_core.advice.codes import WarningCode
from autocog_core.errors import InputError, did_you_mean
from autocog_core.redaction import redact

#: The packages of autocog and its plugins: a warning names the line that called them.
_OWN_PACKAGES = re.compile(r"autocog_\w+(\.|$)|pluggy(\.|$)")


class AutocogWarning(UserWarning):
    """A call or a program that works, but probably does not compute what its author meant.

    Its text begins with its code, so that Python's own filters can name it:
    `python -W ignore:choice-ends-in-blank`.

    :param message: what is wrong, and what to do about it.
    :param code: the code; docs/warnings.md explains each.
    :param where: the action of a program; empty for a call.
    """

    def __init__(self, message: str, *, code: str = "", where: str = "") -> None:
        # The whole text as one argument, so that a copy by pickle has it.
        super().__init__(redact(": ".join(part for part in (code, where, message) if part)))
        self.code = code


def warn(code: WarningCode, message: str, *, where: str = "", place: Hashable = None) -> None:
    """Issue a warning, once for each code and place.

    :param code: the code.
    :param message: what is wrong, and what to do about it.
    :param where: the action of a program; empty for a call.
    :param place: what the warning is about; None for the line that called autocog.
    """
    filename, line, module = _find_caller()
    key = (code, (filename, line) if place is None else place)
    if _issued.contains(key):
        return
    warnings.warn_explicit(
        AutocogWarning(message, code=code, where=where),
        AutocogWarning,
        filename,
        line,
        module,
        registry={},
    )
    # Not if a filter has made an error of it: the next call has the same error.
    _issued.add(key)


def silence(*codes: str) -> None:
    """Do not show the warnings with these codes any more.

    Inside `warnings.catch_warnings()`, this holds to the end of the block.

    :param codes: the codes, such as "choice-ends-in-blank".
    :raises InputError: for an unknown code.
    """
    for code in codes:
        if code not in set(WarningCode):
            hint = did_you_mean(code, list(WarningCode))
            raise InputError(f'no warning has the code "{code}"', where="silence", hint=hint)
    for code in codes:
        warnings.filterwarnings("ignore", message=f"{re.escape(code)}:", category=AutocogWarning)


def is_silenced(code: WarningCode) -> bool:
    """Return whether Python's filters ignore the warnings with a code."""
    for action, message, category, _, _ in warnings.filters:
        pattern = re.escape(message) if isinstance(message, str) else message
        if issubclass(AutocogWarning, category) and re.match(pattern or "", f"{code}: "):
            return action == "ignore"
    return False


class _Issued:
    """The warnings that were issued since Python's list of filters was replaced.

    `warnings.catch_warnings()`, which tests use, replaces it. In its block, all warnings are new.
    """

    def __init__(self) -> None:
        self._filters: object = None
        self._keys: set[Hashable] = set()

    def contains(self, key: Hashable) -> bool:
        if warnings.filters is not self._filters:
            self._filters = warnings.filters
            self._keys = set()
        return key in self._keys

    def add(self, key: Hashable) -> None:
        self._keys.add(key)


_issued = _Issued()


def _find_caller() -> tuple[str, int, str]:
    """Return the file, line and module of the innermost caller outside of autocog."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not _OWN_PACKAGES.match(module):
            return frame.f_code.co_filename, frame.f_lineno, module
        frame = frame.f_back
    return "autocog", 1, "autocog"
