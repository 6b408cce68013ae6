"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from autocog_core.advice.codes import WarningCode
from autocog_core.advice.issue import silence
from autocog_core.cli.session import session


def _set_debug(value: bool) -> None:
    # Never back to False: the environment, or the flag before the command, may have set it.
    session.debug = session.debug or value


def _set_quiet(value: bool) -> None:
    session.quiet = session.quiet or value


def _silence(codes: list[WarningCode] | None) -> list[WarningCode] | None:
    silence(*(codes or ()))
    return codes


def _parse_concurrency(value: str | int) -> int | str:
    """Return a number of rows, or "auto"."""
    if value == "auto":
        return value
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise typer.BadParameter(f'{value!r} is neither "auto" nor a whole number >= 1')
    return number


ChatPromptText = Annotated[
    str | None,
    typer.Argument(
        metavar="PROMPT",
        help="Text to continue; - reads standard input, without its last newline. Not with --user.",
    ),
]
ProgramFile = Annotated[
    Path,
    typer.Argument(metavar="PROGRAM", help="File with the program: .yaml or .json."),
]
ProgramValues = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Set an input of the program, with --input for all rows; @FILE reads the value from a "
        "file: text, data (.json, .yaml), or rows (.jsonl, .csv, ...). Repeatable.",
    ),
]
ProgramModelNames = Annotated[
    list[str] | None,
    typer.Option(
        "--models",
        metavar="NAME=MODEL",
        help="Use MODEL of the config file where the program names the model NAME (default: the "
        "model with the same name). Repeatable.",
    ),
]
Concurrency = Annotated[
    Any,
    typer.Option(
        "--concurrency",
        metavar="N|auto",
        parser=_parse_concurrency,
        help="Number of rows to run at the same time; auto takes what suits the models.",
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Model of the config file (default: the config's default model).",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Config file (default: $AUTOCOG_CONFIG, else the autocog.toml of this folder, a "
        "folder above it, or the user's config folder).",
    ),
]
BackendName = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME",
        help="Load this backend, without a config file; `autocog backends` lists them.",
    ),
]
BackendOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="Set an option of --backend, for example seed=3. The value is TOML; anything else is "
        "a string. Repeatable.",
    ),
]
Chat = Annotated[
    bool,
    typer.Option("--chat", help="Make the prompt a user message, in the model's chat template."),
]
System = Annotated[
    str | None,
    typer.Option(
        "--system", metavar="TEXT", help="System message before the user message; implies --chat."
    ),
]
User = Annotated[
    str | None,
    typer.Option(
        "--user", metavar="TEXT", help="User message, in place of the prompt; implies --chat."
    ),
]
TemplateArgument = Annotated[
    list[str] | None,
    typer.Option(
        "--template-argument",
        metavar="KEY=VALUE",
        help="Set a variable of the model's chat template, for example enable_thinking=false. The "
        "value is TOML; anything else is a string. Repeatable.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Silence = Annotated[
    list[WarningCode] | None,
    typer.Option(
        metavar="CODE",
        help="Do not show the warnings with this code, such as choice-ends-in-blank. Repeatable.",
        callback=_silence,
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Show tracebacks and debug messages (or set AUTOCOG_DEBUG=1).",
        callback=_set_debug,
        is_eager=True,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Print no messages except warnings and errors.",
        callback=_set_quiet,
        is_eager=True,
    ),
]
