"""Texts for the terminal, with all that others wrote in them."""

from __future__ import annotations

from typing import Any, Self, cast

from rich import text

from autocog_core.controls import escape_controls


class Text(text.Text):
    """A text that shows the control characters in it as escapes.

    That of rich leaves some of them out without a word, such as the bell and the carriage return.
    """

    def __init__(self, text: str = "", *arguments: Any, **options: Any) -> None:
        super().__init__(escape_controls(text), *arguments, **options)

    def append(self, text: text.Text | str, style: Any = None) -> Self:
        """Add a text at the end."""
        super().append(escape_controls(text) if isinstance(text, str) else text, style)
        return self

    @classmethod
    def assemble(cls, *parts: Any, **options: Any) -> Self:
        """Return a text of several parts, each a text, or a text with its style."""
        return cast("Self", super().assemble(*parts, **options))
