"""From an exception to one message on stderr and an exit code."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from autocog_core.cli.plugin_commands import absent_command, plugin_commands
from autocog_core.cli.session import session
from autocog_core.config.plugins import backends_with_hook
from autocog_core.errors import AutocogError, CapabilityError
from autocog_core.redaction import redact

INTERRUPTED = 130


class CommandGroup(TyperGroup):
    """The group of all commands, plugins' too; whatever happens in one ends in `main` here."""

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
        # A character that stdout cannot take is spelled out; the rest of the result is not lost.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            # Not standalone: typer would print its own boxes and choose its own exit codes.
            answer = super().main(
                args, prog_name or "autocog", complete_var, False, windows_expand_args, **extra
            )
            # Here and not at exit, where a reader that has gone could no longer be caught.
            sys.stdout.flush()
        except BrokenPipeError:
            _discard_stdout()
            sys.exit(1)
        except (KeyboardInterrupt, typer.Abort):
            sys.exit(INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - the last place where it can become a message
            sys.exit(report(error))
        sys.exit(answer if isinstance(answer, int) else 0)

    def list_commands(self, ctx: Any) -> list[str]:
        """Core's commands, then those of plugins."""
        self._add_plugins()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Core's command of that name, else a plugin's."""
        if cmd_name not in self.commands:
            self._add_plugins()
        return super().get_command(ctx, cmd_name) or absent_command(cmd_name)

    def _add_plugins(self) -> None:
        for command in plugin_commands():
            # Core's commands keep their names, whatever is installed.
            self.commands.setdefault(str(command.name), command)


def report(error: Exception) -> int:
    """Print one message about `error` (and with --debug its traceback); the exit code."""
    # How newer typers show the help of a plugin's app with `no_args_is_help`: that is no mistake.
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.ctx.get_help())  # type: ignore[attr-defined]
        return 0
    if session.debug:
        sys.stderr.write(redact("".join(traceback.format_exception(error))))
    if isinstance(error, AutocogError):
        session.error(_with_able_backends(error))
        return error.exit_code
    # A duck, because typer's exceptions for wrong command lines have moved between releases.
    format_message = getattr(error, "format_message", None)
    if callable(format_message):
        session.error(_wrong_command_line(error, str(format_message())))
        return int(getattr(error, "exit_code", 2))
    hint = "" if session.debug else "; run with --debug for the traceback"
    session.error(redact(f"internal error: {type(error).__name__}: {error}{hint}"))
    return 1


def _with_able_backends(error: AutocogError) -> str:
    """The message; for a missing hook with the installed backends that have it."""
    if not isinstance(error, CapabilityError) or not error.hook:
        return str(error)
    able = backends_with_hook(error.hook)
    return f"{error}; installed backends that do: {', '.join(able)}" if able else str(error)


def _wrong_command_line(error: Exception, message: str) -> str:
    message = message[:1].lower() + message[1:].rstrip(".")
    context = getattr(error, "ctx", None)
    return message if context is None else f"{message}; see `{context.command_path} --help`"


def _discard_stdout() -> None:
    """What is still buffered goes nowhere, so that the interpreter does not complain at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        # Not a real file, so nothing is flushed at exit either.
        return
