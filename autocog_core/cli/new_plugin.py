"""`autocog new-plugin`: write the package of a new plugin."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autocog_core.cli.core_commands import CORE_COMMANDS
from autocog_core.cli.output import show
from autocog_core.cli.session import session
from autocog_core.errors import InputError

if TYPE_CHECKING:
    from autocog_core.scaffold import PluginKind, PluginName


def new_plugin(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of the plugin in config files, for example my-engine. The package is "
            "autocog-NAME.",
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="New or empty folder for the package (default: autocog-NAME in this folder).",
        ),
    ] = None,
    *,
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="What it starts with: engine (log-probabilities of the next token), rows (batches "
            "of rows), server, choose-only (a classifier), wrapper, or runner (a command).",
        ),
    ] = "engine",
) -> None:
    """Write the package of a new plugin.

    The package installs and passes its tests. A backend has a toy model, to replace by your engine.
    """
    # Templates take long to import.
    from autocog_core.scaffold import PluginKind, PluginName, write_package

    plugin_kind = PluginKind.parse(kind)
    plugin = PluginName.parse(name)
    if plugin_kind.what == "command" and name in CORE_COMMANDS:
        raise InputError(f'autocog has a command "{name}"', where="NAME", hint="use another name")
    folder = Path(plugin.distribution) if folder is None else folder
    paths = write_package(plugin, folder, plugin_kind)
    if others := plugin.other_distributions(plugin_kind.group):
        session.warn(
            f'{", ".join(others)} has a {plugin_kind.what} "{name}" too: if both are installed, '
            "neither loads"
        )
    show(f"{plugin.distribution} in {folder}:", *(f"  {path.as_posix()}" for path in paths))
    session.info("Next:")
    for command in _next_commands(plugin, plugin_kind, folder):
        session.info(f"  {command}")
    session.info(
        f"Comments with YOURS in src/{plugin.module}/{plugin_kind.file} mark what to replace "
        f"(see `autocog docs {plugin_kind.page}`)."
    )


def _next_commands(plugin: PluginName, kind: PluginKind, folder: Path) -> list[str]:
    commands = [f"cd {shlex.quote(str(folder))}", 'pip install -e ".[test]"', "pytest"]
    if kind.next_arguments:
        commands.append("autocog " + kind.next_arguments.replace("NAME", plugin.name))
    return commands
