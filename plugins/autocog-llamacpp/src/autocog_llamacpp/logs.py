"""llama.cpp's log, sent to Python's logging (`autocog_llamacpp.llama`): silent by default.

llama.cpp often says why something failed only there: the last lines are kept for error messages.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

import llama_cpp

log = logging.getLogger("autocog_llamacpp.llama")
# A handler that does nothing, so that Python does not print warnings of a logger without one.
log.addHandler(logging.NullHandler())

#: ggml's levels; what is not listed continues the line before.
_LEVELS = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.INFO, 4: logging.WARNING}
_ERROR = 4

_errors: deque[str] = deque(maxlen=8)
_line: list[Any] = [1, ""]


def _take(level: int, text: bytes, user_data: Any) -> None:
    """One piece of a line; runs on whatever thread llama.cpp computes."""
    if level in _LEVELS:
        _line[0] = level
    _line[1] += text.decode("utf-8", errors="replace")
    if not _line[1].endswith("\n"):
        return
    line, _line[1] = _line[1].strip(), ""
    if not line:
        return
    if _line[0] >= _ERROR:
        _errors.append(line)
    log.log(_LEVELS[_line[0]], line)


# Kept for the life of the process: llama.cpp calls it at exit as well.
_callback = llama_cpp.llama_log_callback(_take)


def capture() -> None:
    """Take over llama.cpp's log (its Python package prints it otherwise)."""
    llama_cpp.llama_log_set(_callback, None)


def show() -> None:
    """Print llama.cpp's log on stderr: what `verbose` asks for."""
    if not any(type(handler) is logging.StreamHandler for handler in log.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("llama.cpp: %(message)s"))
        log.addHandler(handler)
    log.setLevel(logging.DEBUG)


def forget_errors() -> None:
    """Begin to collect errors anew, before something that may fail."""
    _errors.clear()


def last_error() -> str:
    """Why llama.cpp failed: the first error of the last failure, without the function's name."""
    if not _errors:
        return ""
    first = _errors[0]
    name, separator, rest = first.partition(": ")
    return rest if separator and name.replace("_", "").isalnum() else first
