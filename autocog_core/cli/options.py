"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocog_core.cli.session import session


def _set_debug(value: bool) -> None:
    # Never back to False: the flag may stand before the command, after it, or in the environment.
    session.debug = session.debug or value


def _set_quiet(value: bool) -> None:
    session.quiet = session.quiet or value


PromptText = Annotated[
    str,
    typer.Argument(
        metavar="PROMPT",
        help="The prompt; - reads it from standard input (one newline at its end is dropped).",
        show_default=False,
    ),
]
ProgramFile = Annotated[
    Path,
    typer.Argument(
        metavar="PROGRAM", help="The program: a .yaml or .json file.", show_default=False
    ),
]
ProgramValues = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="The value of an input, @FILE to read it from a file; repeatable.",
        show_default=False,
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="A model of the config file (else its default).",
        show_default=False,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The config file (else $AUTOCOG_CONFIG, or autocog.toml here or above).",
        show_default=False,
    ),
]
BackendName = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME",
        help="Load this backend, without a config file.",
        show_default=False,
    ),
]
BackendOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="An option for --backend, its value as in TOML (a bare word is a string); repeatable.",
        show_default=False,
    ),
]
Chat = Annotated[
    bool, typer.Option("--chat", help="Give the prompt as a user's message, by the chat template.")
]
System = Annotated[
    str | None,
    typer.Option(
        "--system",
        metavar="TEXT",
        help="A system message before it; implies --chat.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Show tracebacks and debug messages (also: AUTOCOG_DEBUG=1).",
        callback=_set_debug,
        is_eager=True,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Only warnings and errors.",
        callback=_set_quiet,
        is_eager=True,
    ),
]
