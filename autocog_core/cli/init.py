"""`autocog init`: write a config, a first program and rows for it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from autocog_core.cli.output import show
from autocog_core.cli.session import session
from autocog_core.cli.small_model import INSTALL_COMMAND, small_model_backends


def init(
    folder: Annotated[
        Path,
        typer.Argument(metavar="[DIR]", help="Folder for the files (default: this folder)."),
    ] = Path(),
) -> None:
    """Write a commented autocog.toml, a first program and a table with rows for it.

    No file is overwritten.
    """
    # Templates take long to import.
    from autocog_core.scaffold import PROGRAM, ROWS, write_project

    backends = small_model_backends()
    paths = write_project(folder, backends)
    show(f"in {folder.resolve()}:", *(f"  {path.as_posix()}" for path in paths))
    if not backends:
        session.info(
            "The config's model is random numbers. For a small real model, run\n"
            f"  {INSTALL_COMMAND}\nand begin again in another folder."
        )
    session.info("Next:")
    if folder != Path():
        session.info(f"  cd {shlex.quote(str(folder))}")
    session.info(f'  autocog run {PROGRAM} --set text="My new card has not come."')
    session.info(f"  autocog run {PROGRAM} --input {ROWS} --output topics.csv --gold label")
