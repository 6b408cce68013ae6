"""Commands that plugins add (entry-point group `autocog.commands`), imported when they are used.

The entry point's name is the command's, its value a `typer.Typer`, which becomes a group of
commands: `gguf = "my_package.commands:app"` makes `autocog gguf ...`. What such an app needs of
core, options and output included, it imports from `autocog_core.cli`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from autocog_core.config import plugins
from autocog_core.errors import PluginBrokenError


class PluginCommand(TyperGroup):
    """Stands in for a plugin's group of commands until that is used."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **named: Any) -> Any:
        """Import the plugin: from here on its own group answers, its `--help` included.

        :raises PluginError: if it cannot be loaded.
        """
        return load_command(str(self.name)).make_context(info_name, args, *rest, **named)


def plugin_commands() -> Iterator[PluginCommand]:
    """The commands of the installed plugins, sorted by name; none is imported for this."""
    for name, offers in groupby(
        plugins.installed_plugins(plugins.COMMANDS), key=lambda offer: offer.name
    ):
        distributions = sorted({offer.distribution for offer in offers})
        yield PluginCommand(name=name, help=f"From {' and from '.join(distributions)}.")


def absent_command(name: str) -> PluginCommand | None:
    """A command that says on use why it is not there, if `name` is known to be a plugin's."""
    known = plugins.is_plugin_name(name, plugins.COMMANDS)
    return PluginCommand(name=name, hidden=True) if known else None


def load_command(name: str) -> Any:
    """The group of commands that the plugin `name` offers, imported now.

    :raises PluginNotInstalledError, PluginDependencyError, PluginBrokenError, PluginConflictError:
        each says which command mends it.
    """
    plugin = plugins.find_installed(name, plugins.COMMANDS)
    app = plugins.load_target(plugin)
    where = plugins.plugin_label(plugin)
    if not isinstance(app, typer.Typer):
        raise PluginBrokenError(
            f"{plugin.target} is no typer app", where=where, hint="tell its authors"
        )
    # In an app like core's own: its help looks like core's, and it has no completion options.
    outer = typer.Typer(add_completion=False, rich_markup_mode=None)
    outer.add_typer(app, name=name)
    try:
        group: Any = get_group(outer).commands[name]
    except Exception as error:
        raise PluginBrokenError(
            f"typer can make no command of {plugin.target}: {error}",
            where=where,
            hint="tell its authors",
        ) from error
    if not group.commands and group.callback is None:
        raise PluginBrokenError(
            f"{plugin.target} has no commands", where=where, hint="tell its authors"
        )
    return group
