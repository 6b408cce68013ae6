"""Text on one line, short and safe to print: for the labels of every drawing."""

from __future__ import annotations

import re
from collections.abc import Callable

from rich.cells import cell_len

from autocog_core.automaton.choices import Choice
from autocog_core.automaton.templates.template import Each, Template
from autocog_core.types.choice_value import value_text
from autocog_core.types.prompt import Prompt, TextPiece

_CUT = "…"
_MAX_LINES = 5


Previewable = str | Prompt | Template | Choice | Each


def preview(text: Previewable, width: int = 40) -> str:
    r"""Return `text` in quotes on one line, as `repr` writes it: a newline as \n.

    A long text loses its middle: the end of a prompt matters as much as its beginning.

    :param text: a string, a prompt, a template, or choices made from a list.
    :param width: the most columns of the answer in a terminal.
    """
    if isinstance(text, Each):
        templates = text.texts or (text.text,)
        item = "" if templates == (Each.text,) else f": {' or '.join(templates)}"
        return name_preview(f"each of {text.items}{item}", width)
    if isinstance(text, Choice):
        texts = " or ".join(repr(_source(one)) for one in text.texts)
        value = "" if text.value is None else f"{value_text(text.value)}: "
        return _shorten(value + texts, width, lambda label: label)
    return _shorten(_source(text), width, repr)


def preview_lines(text: Previewable, width: int = 40) -> list[str]:
    """Return a preview of each line of `text`; of many, the first ones and the last.

    :param text: as for `preview`.
    :param width: the most columns of a line.
    """
    lines = [] if isinstance(text, Each) else re.findall(r".*\n|.+", _source(text))
    if len(lines) < 2 or cell_len(preview(text, width=4 * width)) <= width:
        return [preview(text, width)]
    left_out = len(lines) - _MAX_LINES + 1
    if left_out <= 1:
        return [preview(line, width) for line in lines]
    first = [preview(line, width) for line in lines[: _MAX_LINES - 2]]
    return [*first, f"  and {left_out} more lines", preview(lines[-1], width)]


def name_preview(name: str, width: int = 32) -> str:
    """Return a uid or a name on one line without quotes, shortened like a text.

    :param name: the uid or name.
    :param width: the most columns of the answer.
    """
    return _shorten(name, width, lambda text: repr(text)[1:-1])


def pattern_preview(pattern: str, width: int) -> str:
    r"""Return a regular expression on one line without quotes, with its own backslashes: \d.

    :param pattern: the regular expression.
    :param width: the most columns of the answer.
    """
    return _shorten(pattern, width, lambda text: repr(text)[1:-1].replace("\\\\", "\\"))


def _source(text: str | Prompt | Template | Choice) -> str:
    if isinstance(text, str):
        return text
    if isinstance(text, Prompt):
        return "".join(
            piece.text if isinstance(piece, TextPiece) else f"<{len(piece.tokens)} tokens>"
            for piece in text.pieces
        )
    return text.source if isinstance(text, Template) else preview(text)


def _shorten(text: str, width: int, quote: Callable[[str], str]) -> str:
    if len(text) <= width and cell_len(quote(text)) <= width:
        return quote(text)
    # Escapes and wide characters take several columns: shorten until the text fits.
    for length in range(min(len(text), width) - 1, 0, -1):
        tail = length // 3
        shortened = quote(text[: length - tail] + _CUT + text[len(text) - tail :])
        if cell_len(shortened) <= width:
            return shortened
    return _CUT
