"""The group of all commands: every exception becomes one message on stderr and an exit code."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from autocog_core.cli.core_commands import core_commands
from autocog_core.cli.plugin_commands import absent_command, plugin_commands
from autocog_core.cli.session import session
from autocog_core.cli.streams import discard, is_stream_error
from autocog_core.cli.warning_lines import warnings_on_stderr
from autocog_core.config.plugin_label import find_raising_plugin
from autocog_core.config.plugins import backends_with_hook, plugin_label
from autocog_core.controls import escape_controls
from autocog_core.errors import AUTHOR_HINT, AutocogError, CapabilityError, append_hint
from autocog_core.redaction import redact

EXIT_INTERRUPTED = 130


class CommandGroup(TyperGroup):
    """The commands of core and of plugins, each imported when it is used."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands.update({str(command.name): command for command in core_commands()})

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run one command line and exit the process."""
        session.start()
        session.arguments = list(sys.argv[1:] if args is None else args)
        # On Windows, click would replace $HOME, ~ and * in prompts. The shells there replace none.
        windows_expand_args = False
        # A character that stdout cannot encode is escaped. Else it would end the output.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            with warnings_on_stderr():
                # Not standalone: typer would print its own boxes and choose its own exit codes.
                result = super().main(
                    args, prog_name or "autocog", complete_var, False, windows_expand_args, **extra
                )
            exit_code = result if isinstance(result, int) else 0
        except (KeyboardInterrupt, typer.Abort):
            exit_code = EXIT_INTERRUPTED
        except Exception as error:  # noqa: BLE001 - nothing above makes a message of it
            exit_code = report_error(error)
        sys.exit(_flush_stdout(exit_code))

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of core's commands, then those of plugins."""
        self._add_plugin_commands()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return core's command with this name, else a plugin's, else None."""
        if cmd_name not in self.commands:
            self._add_plugin_commands()
        return super().get_command(ctx, cmd_name) or absent_command(cmd_name)

    def _add_plugin_commands(self) -> None:
        for command in plugin_commands():
            # Plugins cannot replace core's commands.
            self.commands.setdefault(str(command.name), command)


def report_error(error: Exception) -> int:
    """Print one message for `error`, with --debug also its traceback; return the exit code."""
    # Newer typers show the help of a plugin's app with `no_args_is_help` by this exception.
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.ctx.get_help())  # type: ignore[attr-defined]
        return 0
    if isinstance(error, BrokenPipeError):
        # The reader has what it wants, as `head` has.
        return 1
    if session.debug:
        traceback_text = "".join(traceback.format_exception(error))
        session.write_traceback(escape_controls(redact(traceback_text)))
    if is_stream_error(error):
        session.error(f"cannot write the output: {error.strerror}")  # type: ignore[attr-defined]
        return 1
    if isinstance(error, AutocogError):
        session.error(_add_capable_backends(error))
        return error.exit_code
    # By attribute: releases of typer differ in the module of exceptions for wrong command lines.
    format_message = getattr(error, "format_message", None)
    if callable(format_message):
        session.error(_usage_message(error, str(format_message())))
        return int(getattr(error, "exit_code", 2))
    hint = "" if session.debug else "; run with --debug for the traceback"
    what = f"{type(error).__name__}: {error}"
    if plugin := find_raising_plugin(error):
        message = f"{plugin_label(plugin)} raised {what}; {AUTHOR_HINT}{hint}"
    else:
        message = f"internal error: {what}{hint}"
    session.error(redact(message))
    return 1


def _add_capable_backends(error: AutocogError) -> str:
    """Return the message; for a missing hook, add the installed backends that have it."""
    if not isinstance(error, CapabilityError) or not error.hook:
        return str(error)
    names = backends_with_hook(error.hook)
    return f"{error}; installed backends that do: {', '.join(names)}" if names else str(error)


def _usage_message(error: Exception, message: str) -> str:
    # Typer passes on texts of pydantic.
    message = message.replace(": Value error, ", ": ").replace(": Input should", ": should")
    message = message[:1].lower() + message[1:].rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    message = append_hint(message, _dashed_text_hint(error, context))
    return f"{message}; see `{context.command_path} --help`"


def _dashed_text_hint(error: Exception, context: Any) -> str:
    """Return the hint for a text such as "-5 + 3 =", which is taken for an option; else ""."""
    # By attributes and names, as above.
    is_unknown = hasattr(error, "option_name") and not getattr(error, "possibilities", None)
    is_missing = type(error).__name__ == "MissingParameter" and _is_argument(error.param)  # type: ignore[attr-defined]
    arguments = [
        str(parameter.metavar or parameter.name.upper())
        for parameter in context.command.params
        if _is_argument(parameter)
    ]
    if not arguments or not (is_unknown or is_missing):
        return ""
    usage = f"{context.command_path} [OPTIONS] -- {' '.join(arguments)}"
    return f"a text that begins with - goes after all options and --: `{usage}`"


def _is_argument(parameter: Any) -> bool:
    return getattr(parameter, "param_type_name", "") == "argument"


def _flush_stdout(exit_code: int) -> int:
    """Flush stdout, because at exit it is too late for a message; return the exit code."""
    try:
        sys.stdout.flush()
    except OSError as error:
        discard(sys.stdout)
        # The message for the same error was printed before.
        return exit_code or report_error(error)
    return exit_code
