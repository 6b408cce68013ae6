"""`autocog new-plugin`: a package to write a backend in."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autocog_core.cli.options import Debug, Quiet
from autocog_core.cli.output import show
from autocog_core.cli.session import session

if TYPE_CHECKING:
    from autocog_core.scaffold import PluginName


def new_plugin(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="What configs call the backend; the package is autocog-NAME.",
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="A new or empty folder (else autocog-NAME, in the current one).",
            show_default=False,
        ),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make the package of a new backend: it installs and passes its tests; add your engine."""
    # Only here: templates take a moment to import.
    from autocog_core.scaffold import PluginName, write_package

    plugin = PluginName.checked(name)
    folder = Path(plugin.distribution) if folder is None else folder
    made = write_package(plugin, folder)
    if others := plugin.offered_by():
        session.warn(
            f'{", ".join(others)} offers a backend "{name}" too: with both installed, none loads'
        )
    show(f"{plugin.distribution} in {folder}:", *(f"  {path.as_posix()}" for path in made))
    session.note("Next:")
    for command in _next(plugin, folder):
        session.note(f"  {command}")
    session.note(
        f"Your engine goes into src/{plugin.module}/backend.py (docs/writing-a-backend.md)."
    )


def _next(plugin: PluginName, folder: Path) -> list[str]:
    return [
        f"cd {shlex.quote(str(folder))}",
        'pip install -e ".[test]"',
        "pytest",
        f'autocog choose "Is water wet?" -c " Yes" -c " No" --backend {plugin.name}',
    ]
