"""Commands of plugins (entry-point group `autocog.commands`), imported on first use.

The name of the entry point is the name of the command. Its value is a `typer.Typer`, which becomes
a group of commands: `gguf = "my_package.commands:app"` adds `autocog gguf ...`. Such an app imports
output functions and common options from `autocog_core.cli`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import groupby
from typing import Any

import typer
from typer.main import get_group

from autocog_core.cli.lazy_command import LazyCommand
from autocog_core.config import plugins
from autocog_core.errors import AUTHOR_HINT, PluginBrokenError


def plugin_commands() -> Iterator[LazyCommand]:
    """Yield the commands of the installed plugins, sorted by name, without importing them."""
    installed = plugins.installed_plugins(plugins.COMMANDS)
    for name, same_name in groupby(installed, key=lambda plugin: plugin.name):
        distributions = sorted({plugin.distribution for plugin in same_name})
        yield LazyCommand(
            name, partial(load_command, name), help=f"From {' and from '.join(distributions)}."
        )


def absent_command(name: str) -> LazyCommand | None:
    """Return a command that fails with the reason why the plugin `name` is not available.

    :returns: None if no plugin of that name is known.
    """
    known = plugins.is_plugin_name(name, plugins.COMMANDS)
    return LazyCommand(name, partial(load_command, name), hidden=True) if known else None


def load_command(name: str) -> Any:
    """Import the plugin `name`, and return its group of commands.

    :raises PluginNotInstalledError, PluginDependencyError, PluginBrokenError, PluginConflictError:
        if it cannot be used; the hint has the command that fixes it.
    """
    plugin = plugins.find_installed(name, plugins.COMMANDS)
    app = plugins.load_target(plugin)

    def broken(message: str) -> PluginBrokenError:
        where = plugins.plugin_label(plugin)
        return PluginBrokenError(message, where=where, hint=AUTHOR_HINT)

    if not isinstance(app, typer.Typer):
        raise broken(f"{plugin.target} is not a typer.Typer")
    # With core's settings, the help looks like core's, and there are no completion options.
    parent = typer.Typer(add_completion=False, rich_markup_mode=None)
    parent.add_typer(app, name=name)
    try:
        group: Any = get_group(parent).commands[name]
    except Exception as error:
        raise broken(f"typer cannot make a command of {plugin.target}: {error}") from error
    if not group.commands and group.callback is None:
        raise broken(f"{plugin.target} has no commands")
    return group
