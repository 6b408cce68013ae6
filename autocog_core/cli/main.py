"""The `autocog` command: its app, and the options before a command."""

from __future__ import annotations

from typing import Annotated

import typer

from autocog_core.cli.command_group import CommandGroup
from autocog_core.cli.option_groups import expand_options
from autocog_core.version import __version__

app = typer.Typer(
    name="autocog",
    cls=CommandGroup,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"autocog {__version__}")
        raise typer.Exit


def autocog(
    context: typer.Context,
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", help="Show the version.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Run language models and programs, with an exact probability for every choice."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.callback(invoke_without_command=True)(expand_options(autocog))


def main() -> None:
    """Run the command line and exit: 0 success, 1 failure, 2 usage error, 130 interrupted."""
    app()
