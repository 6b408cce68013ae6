"""A text in a few columns of one line, for `repr` and messages."""

from __future__ import annotations

from typing import Any

_CUT = "…"


def brief(value: Any, width: int = 40) -> str:
    """Return `repr` of a value, which has no control characters, cut to a width.

    :param value: a text, of which the beginning is shown; or another value.
    :param width: the most characters of the answer.
    """
    if not isinstance(value, str):
        shown = " ".join(repr(value).split())
        # The repr of a class may print what it likes.
        shown = shown if shown.isprintable() else repr(shown)
        return shown if len(shown) <= width else shown[: width - 1] + _CUT
    if len(value) <= width and len(repr(value)) <= width:
        return repr(value)
    for length in range(min(len(value), width), 0, -1):
        shown = repr(value[:length] + _CUT)
        if len(shown) <= width:
            return shown
    return repr(_CUT)
