"""Text on one line, short and safe to print: for labels of every kind of picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from rich.cells import cell_len

from autocog_core.automaton.templates.template import Each
from autocog_core.types.prompt import Prompt, TextPiece

_CUT = "…"
_LINES = 5


class HasSource(Protocol):
    """Text that is still to be filled in: a template, of which the source is shown."""

    @property
    def source(self) -> Any:
        """What was written in place of the text."""


Previewable = str | Prompt | HasSource | Each


def preview(text: Previewable, width: int = 40) -> str:
    r"""`text` in quotes on one line, as `repr` writes it: newlines as \n, quotes with a backslash.

    What is too long loses its middle: how a prompt ends matters as much as how it begins.

    :param text: a string, a prompt of pieces, a template, or choices made from a list.
    :param width: most columns that the answer takes in a terminal.
    """
    if isinstance(text, Each):
        made = "" if text.text == Each.text else f": {text.text}"
        return name_preview(f"each of {text.items}{made}", width)
    return _fitted(_plain(text), width, repr)


def preview_lines(text: Previewable, width: int = 40) -> list[str]:
    """A preview for each line of `text`; of more than a few, the first ones and the last."""
    if isinstance(text, Each):
        return [preview(text, width)]
    lines = _plain(text).split("\n")
    lines = [line + "\n" for line in lines[:-1]] + (lines[-1:] if lines[-1] else [])
    if len(lines) < 2 or cell_len(preview(text, width=4 * width)) <= width:
        return [preview(text, width)]
    left_out = len(lines) - _LINES
    if left_out <= 0:
        return [preview(line, width) for line in lines]
    first = [preview(line, width) for line in lines[: _LINES - 2]]
    return [*first, f"  and {left_out + 1} more lines", preview(lines[-1], width)]


def name_preview(name: str, width: int = 32) -> str:
    """A uid or a name, without quotes; on one line and cut in the same way."""
    return _fitted(name, width, lambda text: repr(text)[1:-1])


def _plain(text: str | Prompt | HasSource) -> str:
    if isinstance(text, str):
        return text
    if isinstance(text, Prompt):
        return "".join(
            piece.text if isinstance(piece, TextPiece) else f"<{len(piece.tokens)} tokens>"
            for piece in text.pieces
        )
    return str(text.source)


def _fitted(text: str, width: int, shown: Callable[[str], str]) -> str:
    if len(text) <= width:
        whole = shown(text)
        if cell_len(whole) <= width:
            return whole
    # Escapes and wide characters take more columns than one: kept is what fits.
    for kept in range(min(len(text), width) - 1, 0, -1):
        tail = kept // 3
        cut = shown(text[: kept - tail] + _CUT + text[len(text) - tail :])
        if cell_len(cut) <= width:
            return cut
    return _CUT
