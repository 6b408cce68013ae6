"""The state of one run of the command line, and its messages on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console

from autocog_core.cli.output import escape_controls, facts_table, new_console
from autocog_core.cli.streams import discard, open_closed_streams
from autocog_core.cli.styles import BAD, CAUTION
from autocog_core.cli.text import Text

DEBUG_VARIABLE = "AUTOCOG_DEBUG"


class Session:
    """One run of the command line.

    :ivar arguments: the command line, without the name of the program.
    :ivar debug: show tracebacks.
    :ivar quiet: show warnings and errors only.
    :ivar warning_hints: by the code of a warning, what to do about it on the command line.
    """

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Reset everything: tests and notebooks run several command lines in one process."""
        open_closed_streams()
        self.arguments: list[str] = []
        self.debug = os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")
        self.quiet = False
        self.warning_hints: dict[str, str] = {}
        self._is_spinning = False
        # A console looks up only once whether stderr is a terminal.
        self._console = new_console(stderr=True)

    def terminal(self) -> Console | None:
        """Return the console on stderr if a person sees it and wants to; else None.

        FORCE_COLOR makes rich take a file for a terminal, so the stream itself is asked.
        """
        console = self._console
        can_move = console.file.isatty() and console.is_terminal and not console.is_dumb_terminal
        return console if can_move and not self.quiet else None

    def info(self, message: str) -> None:
        """Print a message that `--quiet` hides."""
        if not self.quiet:
            self._print("", "", message, "dim")

    def show_facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Print names with their values, one per line; `--quiet` hides them."""
        if not self.quiet:
            table = facts_table((name, Text(value)) for name, value in facts)
            with _despite_full_disk():
                self._console.print(table)

    def warn(self, message: str) -> None:
        """Print a warning: the result may not be what the user meant."""
        self._print("warning: ", CAUTION, message)

    def error(self, message: str) -> None:
        """Print why there is no result."""
        self._print("error: ", BAD, message)

    def write_traceback(self, text: str) -> None:
        """Print a traceback as it is."""
        with _despite_full_disk():
            sys.stderr.write(text)

    @contextmanager
    def spinner(self, message: str) -> Iterator[None]:
        """Show `message` on a terminal while the block runs."""
        console = self.terminal()
        # A terminal has room for one spinner: that of the outer block.
        if console is None or self._is_spinning:
            yield
            return
        self._is_spinning = True
        try:
            with console.status(Text(escape_controls(message))):
                yield
        finally:
            self._is_spinning = False

    @contextmanager
    def progress(self, message: str) -> Iterator[Callable[[int, int, str], None]]:
        """Show a progress bar on a terminal while the block runs.

        The block gets a function to call with the number of finished items, the number of all
        items, and the name of the current item.
        """
        console = self.terminal()
        if console is None:
            yield lambda done, total, current: None
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        with Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[current]}", markup=False),
            console=console,
            transient=True,
        ) as bars:
            task = bars.add_task(escape_controls(message), total=None, current="")

            def update(done: int, total: int, current: str) -> None:
                bars.update(task, completed=done, total=total, current=escape_controls(current))

            yield update

    def _print(self, label: str, label_style: str, message: str, style: str = "") -> None:
        text = Text.assemble((label, label_style), (escape_controls(message), style))
        with _despite_full_disk():
            # The terminal wraps, not rich: a message in a file stays on one line.
            self._console.print(text, soft_wrap=True)


@contextmanager
def _despite_full_disk() -> Iterator[None]:
    """Continue without messages if nobody can read them: results do not depend on them."""
    try:
        yield
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


session = Session()
