"""The console of all commands: it prints what others wrote without obeying it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from autocog_core.controls import escape_controls


class Console(console.Console):
    """A console on which the terminal's commands come from autocog alone.

    Every text passes `render`, on its own, in a table and in a progress bar. It is escaped before
    its lines are laid out, so that columns stay columns, and what a renderable adds is escaped
    after.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yield the parts of a renderable, without control characters from its texts."""
        if isinstance(renderable, Text):
            renderable = self._escape(renderable)
        for segment in super().render(renderable, options):
            # Rich's own commands to the terminal are marked as such.
            escaped = segment.text if segment.control else escape_controls(segment.text)
            same = escaped == segment.text
            yield segment if same else Segment(escaped, segment.style, segment.control)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Return a text for measuring and rendering, for example of a cell of a table."""
        return super().render_str(escape_controls(text), **settings)

    def _escape(self, text: Text) -> Text:
        if escape_controls(text.plain) == text.plain:
            return text
        escaped = text.blank_copy()
        for segment in text.render(self, end=""):
            escaped.append(escape_controls(segment.text), segment.style)
        return escaped
