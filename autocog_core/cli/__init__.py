"""The `autocog` command: one file a command group, and no logic that the API lacks.

What stands here is what commands of plugins may use (`autocog_core.cli.plugin_commands`): options
that mean the same in every command, results on stdout in the house style, and what is said beside
them on stderr, unless `--quiet` stands on the command line.

    from autocog_core.cli import AsJson, Debug, Quiet, show, show_json

    app = typer.Typer()

    @app.command()
    def info(file: Path, as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False):
        ...
"""

from __future__ import annotations

from autocog_core.cli.options import AsJson, Debug, Quiet
from autocog_core.cli.output import (
    add_number,
    add_text,
    facts_table,
    new_table,
    printable,
    show,
    show_json,
)
from autocog_core.cli.session import session as _session

note = _session.note
warn = _session.warn
waiting = _session.waiting
progress = _session.progress

__all__ = [
    "AsJson",
    "Debug",
    "Quiet",
    "add_number",
    "add_text",
    "facts_table",
    "new_table",
    "note",
    "printable",
    "progress",
    "show",
    "show_json",
    "waiting",
    "warn",
]
