"""llama.cpp's log, sent to Python's logging (`autocog_llamacpp.llama`): silent by default.

llama.cpp often says why something failed only there: the last lines are kept for error messages.
"""

from __future__ import annotations

import logging
from collections import deque
from threading import get_ident
from typing import Any

import llama_cpp

log = logging.getLogger("autocog_llamacpp.llama")
# A handler that does nothing, so that Python does not print warnings of a logger without one.
log.addHandler(logging.NullHandler())

#: ggml's levels; what is not listed continues the line before.
_LEVELS = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.INFO, 4: logging.WARNING}
_ERROR = 4

#: Errors and the line that is being said, by thread: each engine computes on one of its own.
_errors: dict[int, deque[str]] = {}
_lines: dict[int, tuple[int, str]] = {}


def _take(level: int, text: bytes, user_data: Any) -> None:
    """One piece of a line; runs on whatever thread llama.cpp computes."""
    thread = get_ident()
    before, line = _lines.pop(thread, (1, ""))
    level = level if level in _LEVELS else before
    line += text.decode("utf-8", errors="replace")
    if not line.endswith("\n"):
        _lines[thread] = (level, line)
        return
    line = line.strip()
    if not line:
        return
    if level >= _ERROR and thread in _errors:
        _errors[thread].append(line)
    log.log(_LEVELS[level], line)


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


class Errors:
    """What llama.cpp says goes wrong while something is done on this thread."""

    def __init__(self) -> None:
        self._found: deque[str] = deque(maxlen=8)

    def __enter__(self) -> Errors:
        _errors[get_ident()] = self._found
        return self

    def __exit__(self, *error: object) -> None:
        _errors.pop(get_ident(), None)

    @property
    def reason(self) -> str:
        """The first of them, without the function's name: the others follow from it."""
        if not self._found:
            return ""
        first = self._found[0]
        name, separator, rest = first.partition(": ")
        return rest if separator and name.replace("_", "").isalnum() else first
