"""The output of `autocog run`: the record of one run with its tree, or a summary of all rows.

Results go to stdout, summaries to stderr.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from autocog_core.cli.output import (
    escape_controls,
    facts_table,
    format_logprob,
    format_probability,
    new_console,
    show,
)
from autocog_core.cli.run_progress import RunProgress, format_rate
from autocog_core.cli.session import session
from autocog_core.errors import InputError

if TYPE_CHECKING:
    from autocog_core import Automaton
    from autocog_core.dataset import Accuracy, Progress, Summary
    from autocog_core.dataset.output_row import OutputRow
    from autocog_core.types.backend_info import Usage
    from autocog_core.types.thought_tree import ThoughtTree


class Watch:
    """Follows a run: draws a bar for people who watch, and says how to go on after its end.

    :param drawn: whether there may be a bar.
    :param resumable: whether the same command goes on where it was.
    :ivar progress: the last that was heard of it. `seconds`: since it began.
    """

    def __init__(self, *, drawn: bool = True, resumable: bool = True) -> None:
        self.progress: Progress | None = None
        self._resumable = resumable
        self._begun = time.perf_counter()
        console = Console(stderr=True, markup=False, emoji=False, highlight=False)
        drawn = drawn and not session.quiet and console.is_terminal
        self._bar = _bar(console) if drawn else None

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._begun

    def update(self, progress: Progress) -> None:
        """Hear how far it is."""
        self.progress = progress
        if self._bar is None:
            return
        if not self._bar.tasks:
            # Rows of an earlier run say nothing of the rate of this one.
            self._bar.add_task("", total=progress.total, completed=progress.done, errors="")
            self._bar.start()
        number = progress.errors
        errors = f"{number} error{'' if number == 1 else 's'}" if number else ""
        self._bar.update(self._bar.task_ids[0], completed=progress.done, errors=errors)

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
            rows = f"{self.progress.done} of {self.progress.total} rows are done"
            going_on = "; the same command goes on from there" if self._resumable else ""
            session.note(rows + going_on)


def _bar(console: Console) -> Bar:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import (
        Progress as Bar,
    )

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else _rate(speed), style="dim")

    return Bar(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[errors]}", style="yellow", markup=False),
        console=console,
        transient=True,
        # It would move what is written to a file or a pipe to the terminal.
        redirect_stdout=False,
    )


def _rate(speed: float) -> str:
    return f"{speed:.1f} rows/s" if speed >= 1 else f"{1 / speed:.1f} s/row" if speed else ""


def write_record(record: OutputRow) -> None:
    """Print one row as one line of JSON."""
    import json

    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(record, ensure_ascii=not unicode, allow_nan=False) + "\n")
    sys.stdout.flush()


def show_answer(automaton: Automaton, tree: ThoughtTree) -> None:
    """Print the record of a tree, and the tree.

    :raises InputError: after the tree is printed, if no path of it is complete.
    """
    from autocog_core.dataset.output_row import make_output_row
    from autocog_core.viz.tree_text import tree_text

    # A group keeps the lines: rich wraps a text alone.
    drawing = Group(tree_text(tree, new_console().width))
    try:
        record = make_output_row(0, automaton, tree)
    except InputError:
        show(drawing)
        raise
    if tree.stopped_by is not None:
        session.warn(f"the tree is incomplete: the budget of {tree.stopped_by} is spent")
    if record["fields"]:
        show(facts_table(_fields(record)))
    show(Text(_numbers(record), style="dim"), Text(), drawing)


def _fields(record: OutputRow) -> Iterator[tuple[str, Text]]:
    for name, given in record["fields"].items():
        texts = given if isinstance(given, list) else [given]
        probs = record["probs"].get(name)
        probs = probs if isinstance(probs, list) else [probs] * len(texts)
        for text, prob in zip(texts, probs, strict=True):
            suffix = "" if prob is None else f"  {format_probability(prob)}"
            yield name, Text.assemble(escape_controls(text.strip()), (suffix, "cyan"))


def _numbers(record: OutputRow) -> str:
    margin = "" if record["margin"] is None else f", margin {record['margin']:.3f} nats"
    return (
        f"prob {format_probability(record['prob'])}{margin}, "
        f"logprob {format_logprob(record['logprob'])}, "
        f"{record['tokens_evaluated']} tokens evaluated"
    )


def show_summary(summary: Summary, progress: RunProgress) -> None:
    """Print the totals of all rows on stderr."""
    session.show_facts(_summary_facts(summary, progress))


def _facts(summary: Summary, watch: Watch) -> Iterator[tuple[str, str]]:
    progress = watch.progress
    before = progress.resumed if progress is not None else 0
    yield "rows", f"{summary.rows:,}" + (f" ({before:,} of them before)" if before else "")
    yield "errors", f"{summary.errors:,}{_first_error(summary.first_error)}"
    if summary.stopped:
        yield "stopped", f"{summary.stopped:,} by the budget; their records are incomplete"
    yield "tokens", f"{summary.tokens:,} evaluated"
    yield from _usage_facts(summary.usage)
    new_rows = summary.rows - before
    rate = f", {format_rate(new_rows / progress.seconds)}" if new_rows else ""
    yield "time", f"{_format_duration(progress.seconds)}{rate}"
    if summary.accuracy is not None:
        yield from _accuracy_facts(summary.accuracy)


def _usage_facts(usage: Mapping[str, Usage]) -> Iterator[tuple[str, str]]:
    for name, counts in usage.items():
        yield (
            "usage" if len(usage) == 1 else f"usage of {escape_controls(name)}",
            f"{counts.requests:,} requests, {counts.prompt_tokens:,} prompt tokens "
            f"({counts.cached_tokens:,} cached), {counts.completion_tokens:,} completion tokens",
        )


def _accuracy_facts(accuracy: Accuracy) -> Iterator[tuple[str, str]]:
    if accuracy.accuracy is None or accuracy.interval is None:
        yield "accuracy", f'no row has both a field "{accuracy.field}" and a right answer'
        return
    low, high = accuracy.interval
    yield (
        "accuracy",
        f"{accuracy.accuracy:.4f} of {accuracy.field}: {accuracy.right:,} of "
        f"{accuracy.answered:,} answered; 95% interval {low:.4f} to {high:.4f} (Wilson)",
    )
    if accuracy.calibration_error is not None and accuracy.brier is not None:
        yield (
            "calibration",
            f"expected error {accuracy.calibration_error:.4f} (10 bins), "
            f"Brier score {accuracy.brier:.4f}",
        )


def _first_error(record: Any) -> str:
    if record is None:
        return ""
    error = record["error"]
    parts = [part for part in (error["where"], error["message"]) if part]
    return f"; the first: row {record['row']}: {': '.join(parts)}"


def _format_duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, whole_seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole_seconds} s"
