"""What holds for one run of the command: how much it says, and where it says it (stderr)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from autocog_core.cli.output import printable

DEBUG_VARIABLE = "AUTOCOG_DEBUG"


class Session:
    """One run of the command.

    :ivar debug: show tracebacks. `quiet`: show warnings and errors only.
    """

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Forget the run before: tests and notebooks run several in one process."""
        self.debug = os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")
        self.quiet = False
        # Made anew, because whether stderr is a terminal is looked up when a console is made.
        self._console = Console(stderr=True, markup=False, emoji=False, highlight=False)

    def note(self, message: str) -> None:
        """Say something that `--quiet` silences."""
        if not self.quiet:
            self._say("", "", message, "dim")

    def warn(self, message: str) -> None:
        """Say that the result may not be what was meant."""
        self._say("warning: ", "bold yellow", message)

    def error(self, message: str) -> None:
        """Say why there is no result."""
        self._say("error: ", "bold red", message)

    @contextmanager
    def waiting(self, message: str) -> Iterator[None]:
        """Show `message` while the body runs; only to people who watch."""
        if self.quiet or not self._console.is_terminal:
            yield
        else:
            with self._console.status(Text(printable(message))):
                yield

    @contextmanager
    def progress(self, message: str) -> Iterator[Callable[[int, int, str], None]]:
        """Show a bar while the body runs; only to people who watch.

        The body calls what it gets with how much is done, how much there is, and what is at work.
        """
        if self.quiet or not self._console.is_terminal:
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
            console=self._console,
            transient=True,
        ) as bars:
            task = bars.add_task(printable(message), total=None, current="")

            def update(done: int, total: int, current: str) -> None:
                bars.update(task, completed=done, total=total, current=printable(current))

            yield update

    def _say(self, label: str, label_style: str, message: str, style: str = "") -> None:
        text = Text.assemble((label, label_style), (printable(message), style))
        # The terminal wraps, not rich: a message that goes to a file stays on its line.
        self._console.print(text, soft_wrap=True)


session = Session()
