"""`autocog new-plugin`: write the package of a new backend."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autocog_core.cli.output import show
from autocog_core.cli.session import session

if TYPE_CHECKING:
    from autocog_core.scaffold import PluginName


def new_plugin(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of the backend in config files, for example my-engine. The package is "
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
) -> None:
    """Write the package of a new backend.

    The package installs and passes its tests. It contains a toy model to replace by your engine.
    """
    # Templates take long to import.
    from autocog_core.scaffold import PluginName, write_package

    plugin = PluginName.parse(name)
    folder = Path(plugin.distribution) if folder is None else folder
    paths = write_package(plugin, folder)
    if others := plugin.other_distributions():
        session.warn(
            f'{", ".join(others)} has a backend "{name}" too: if both are installed, neither loads'
        )
    show(f"{plugin.distribution} in {folder}:", *(f"  {path.as_posix()}" for path in paths))
    session.info("Next:")
    for command in _next_commands(plugin, folder):
        session.info(f"  {command}")
    session.info(
        f"Put your engine into src/{plugin.module}/backend.py (see docs/writing-a-backend.md)."
    )


def _next_commands(plugin: PluginName, folder: Path) -> list[str]:
    return [
        f"cd {shlex.quote(str(folder))}",
        'pip install -e ".[test]"',
        "pytest",
        f'autocog choose "Is water wet?" -c " Yes" -c " No" --backend {plugin.name}',
    ]
