"""Commands that are imported when they are used, so that a list of all commands imports none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typer.core import TyperGroup


class LazyCommand(TyperGroup):
    """A placeholder in the list of commands.

    :param name: the command's name.
    :param load: imports and returns the command.
    :param settings: what a list shows: `help`, and `hidden`.
    """

    def __init__(self, name: str, load: Callable[[], Any], **settings: Any) -> None:
        super().__init__(name=name, **settings)
        self.load = load

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **named: Any) -> Any:
        """Import the command. It handles the arguments itself, `--help` included.

        :raises PluginError: if the command is a plugin's, and cannot be loaded.
        """
        return self.load().make_context(info_name, args, *rest, **named)
