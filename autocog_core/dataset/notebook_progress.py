"""The progress of a run in the cell of a notebook that started it."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, Protocol

from autocog_core.dataset.progress import Progress
from autocog_core.dataset.row_result import RowResult

#: Seconds between two updates of the cell.
_UPDATE_SECONDS = 0.2


class _Display(Protocol):
    def update(self, content: Any) -> None: ...


class NotebookProgress:
    """A progress bar in the output of a cell.

    It is plain HTML, which every kind of notebook shows, and which stays when it is saved.

    :param show: shows HTML in the cell, and returns what updates it.
    """

    def __init__(self, show: Callable[[str], Callable[[str], None]]) -> None:
        self._show = show
        self._update: Callable[[str], None] | None = None
        self._start = self._last = time.perf_counter()

    def __call__(self, progress: Progress) -> None:
        """Show the progress."""
        now = time.perf_counter()
        is_last = progress.done == progress.total
        if self._update is not None and not is_last and now - self._last < _UPDATE_SECONDS:
            return
        self._last = now
        content = _content(progress, now - self._start)
        if self._update is None:
            self._update = self._show(content)
        else:
            self._update(content)


def notebook_progress() -> Callable[[Progress], None] | None:
    """Return what shows the progress in the cell that runs now; None outside of notebooks."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    # A terminal with IPython has no cells.
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return NotebookProgress(_show_in_cell)


def with_progress(results: Iterable[RowResult], rows: object) -> Iterator[RowResult]:
    """Yield results, and show in a notebook how many there are.

    :param results: the results.
    :param rows: their rows; the bar needs to know how many there are.
    """
    show = notebook_progress() if isinstance(rows, Sized) else None
    if show is None:
        yield from results
        return
    assert isinstance(rows, Sized)
    errors = 0
    for done, result in enumerate(results, 1):
        errors += result.error is not None
        show(Progress(done=done, total=len(rows), errors=errors))
        yield result


def _show_in_cell(content: str) -> Callable[[str], None]:
    from IPython.display import HTML, display  # type: ignore[import-not-found]

    handle: _Display = display(HTML(content), display_id=True)
    return lambda content: handle.update(HTML(content))


def _content(progress: Progress, seconds: float) -> str:
    facts = [f"{progress.done:,} of {progress.total:,} rows"]
    new_rows = progress.done - progress.resumed
    if new_rows and seconds:
        facts.append(f"{new_rows / seconds:.1f} rows/s")
    if progress.errors:
        facts.append(f"{progress.errors:,} error{'' if progress.errors == 1 else 's'}")
    if progress.answered:
        facts.append(f"accuracy {progress.right / progress.answered:.3f}")
    text = html.escape(", ".join(facts))
    bar = f'<progress value="{progress.done}" max="{max(1, progress.total)}"></progress>'
    return f"<div>{bar} {text}</div>"
