"""The `autocog` command: one module per command, without logic that the API lacks.

Commands of plugins (`autocog_core.cli.plugin_commands`) import the names below. They are options
with the same meaning in every command, tables for results on stdout, and messages on stderr, which
respect `--quiet`:

    from autocog_core.cli import AsJson, Debug, Quiet, show, show_json

    app = typer.Typer()

    @app.command()
    def inspect(file: Path, as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False):
        ...
"""

from __future__ import annotations

from autocog_core.cli.options import AsJson, Debug, Quiet
from autocog_core.cli.output import (
    add_number,
    add_text,
    escape_controls,
    facts_table,
    new_table,
    show,
    show_json,
)
from autocog_core.cli.session import session as _session

info = _session.info
warn = _session.warn
spinner = _session.spinner
progress = _session.progress

__all__ = [
    "AsJson",
    "Debug",
    "Quiet",
    "add_number",
    "add_text",
    "escape_controls",
    "facts_table",
    "info",
    "new_table",
    "progress",
    "show",
    "show_json",
    "spinner",
    "warn",
]
