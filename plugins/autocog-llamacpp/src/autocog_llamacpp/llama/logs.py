"""Sends llama.cpp's log to Python's logging (`autocog_llamacpp.llama`); silent by default.

llama.cpp often states the cause of an error only in its log. `Errors` collects these lines.
"""

from __future__ import annotations

import logging
from collections import deque
from threading import get_ident
from typing import Any

import llama_cpp

log = logging.getLogger("autocog_llamacpp.llama")
# Python prints warnings of loggers without a handler.
log.addHandler(logging.NullHandler())

#: By ggml's levels. Other levels continue the previous line.
_LEVELS = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.INFO, 4: logging.WARNING}
_ERROR = 4

#: By thread, because each engine computes on its own: the errors, and the unfinished line.
_errors: dict[int, deque[str]] = {}
_lines: dict[int, tuple[int, str]] = {}


def _receive(level: int, text: bytes, user_data: Any) -> None:
    """Process a part of a line, on the thread on which llama.cpp computes."""
    thread = get_ident()
    last_level, line = _lines.pop(thread, (1, ""))
    level = level if level in _LEVELS else last_level
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


# Never freed: llama.cpp calls it at exit as well.
_callback = llama_cpp.llama_log_callback(_receive)


def capture() -> None:
    """Redirect llama.cpp's log; llama-cpp-python prints it otherwise."""
    llama_cpp.llama_log_set(_callback, None)


def show() -> None:
    """Print llama.cpp's log on stderr, for the option `verbose`."""
    if not any(type(handler) is logging.StreamHandler for handler in log.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("llama.cpp: %(message)s"))
        log.addHandler(handler)
    log.setLevel(logging.DEBUG)


class Errors:
    """Collects the errors that llama.cpp logs on this thread, as a context manager."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=8)

    def __enter__(self) -> Errors:
        _errors[get_ident()] = self._lines
        return self

    def __exit__(self, *error: object) -> None:
        _errors.pop(get_ident(), None)

    @property
    def reason(self) -> str:
        """The first error, without the name of the function: the others follow from it."""
        if not self._lines:
            return ""
        first = self._lines[0]
        name, separator, message = first.partition(": ")
        return message if separator and name.replace("_", "").isalnum() else first
