"""The progress of `autocog run` over many rows, on stderr: a bar or lines, and how to resume."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console

from autocog_core.cli.session import session
from autocog_core.cli.styles import CAUTION
from autocog_core.cli.text import Text
from autocog_core.errors import AutocogError

if TYPE_CHECKING:
    from rich.progress import Progress as ProgressBar

    from autocog_core.dataset import Progress

#: Seconds between two lines of progress where there is no terminal.
LINE_SECONDS = 30.0


class RunProgress:
    """The progress of a run, and a message if the run is interrupted.

    A terminal shows a bar. Elsewhere, such as in a log file, a line is printed now and then.

    :param has_bar: show the progress: the rows themselves are not on the terminal.
    :param is_resumable: the same command resumes the run.
    :ivar progress: the last progress of the run; None before its first row.
    """

    def __init__(self, *, has_bar: bool = True, is_resumable: bool = True) -> None:
        self.progress: Progress | None = None
        self._is_resumable = is_resumable
        self._start = self._last_line = time.perf_counter()
        console = session.terminal() if has_bar else None
        self._bar = None if console is None else _new_bar(console)
        self._has_lines = has_bar and console is None

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    @property
    def rows_before(self) -> int:
        """Number of rows that earlier runs finished."""
        return 0 if self.progress is None else self.progress.resumed

    def update(self, progress: Progress) -> None:
        """Show how many rows are finished."""
        self.progress = progress
        if self._has_lines:
            self._print_line(progress)
        if self._bar is None:
            return
        if not self._bar.tasks:
            # The rows of earlier runs must not count in the rate of this one.
            self._bar.add_task("", total=progress.total, completed=progress.done, counts="")
            self._bar.start()
        counts = ", ".join(_counts(progress))
        self._bar.update(self._bar.task_ids[0], completed=progress.done, counts=counts)

    def _print_line(self, progress: Progress) -> None:
        now = time.perf_counter()
        if now - self._last_line < LINE_SECONDS or progress.done == progress.total:
            return
        self._last_line = now
        rate = (progress.done - progress.resumed) / self.seconds
        parts = [f"{progress.done:,} of {progress.total:,} rows"]
        if rate:
            left = format_duration((progress.total - progress.done) / rate)
            parts += [format_rate(rate), f"{left} left"]
        session.info(", ".join([*parts, *_counts(progress)]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if isinstance(error, KeyboardInterrupt | AutocogError) and self.progress is not None:
            message = f"{self.progress.done} of {self.progress.total} rows are done"
            if self._is_resumable:
                message += "; the same command resumes the run"
            session.info(message)


def _counts(progress: Progress) -> Iterator[str]:
    """Yield the errors of the run, and the accuracy of its answers."""
    if progress.errors:
        yield f"{progress.errors:,} error{'' if progress.errors == 1 else 's'}"
    if progress.answered:
        yield f"accuracy {progress.right / progress.answered:.3f}"


def format_duration(seconds: float) -> str:
    """Return a time in seconds, minutes or hours."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, whole_seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole_seconds} s"


def format_rate(rows_per_second: float) -> str:
    """Return a rate in rows per second, or in seconds per row if that is more than one."""
    if rows_per_second >= 1:
        return f"{rows_per_second:.1f} rows/s"
    return f"{1 / rows_per_second:.1f} s/row" if rows_per_second else ""


def _new_bar(console: Console) -> ProgressBar:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as ProgressBar

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else format_rate(speed), style="dim")

    return ProgressBar(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[counts]}", style=CAUTION, markup=False),
        console=console,
        transient=True,
        # Else rich prints the output for a file or a pipe on the terminal.
        redirect_stdout=False,
    )
