"""The output of `autocog run`: the row of one run with its tree, or a summary of all rows.

Results go to stdout, summaries to stderr.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group

from autocog_core.cli.output import (
    escape_controls,
    facts_table,
    format_bar,
    format_logprob,
    format_probability,
    new_console,
    show,
)
from autocog_core.cli.run_progress import RunProgress, format_duration, format_rate
from autocog_core.cli.session import session
from autocog_core.cli.text import Text
from autocog_core.errors import FailedRowsError, InputError, shorten
from autocog_core.types.choice_value import value_text

if TYPE_CHECKING:
    from autocog_core.dataset import Accuracy, Summary
    from autocog_core.dataset.output_row import OutputRow
    from autocog_core.types.backend_info import Usage
    from autocog_core.types.marginal import Marginal
    from autocog_core.types.thought_tree import ThoughtTree


def show_result(tree: ThoughtTree, marginals: Sequence[str] = ()) -> None:
    """Print the output row of a tree, the marginals of some fields, and the tree.

    :param tree: the tree.
    :param marginals: the fields.
    :raises InputError: after the tree is printed, if no path of it is complete.
    """
    from autocog_core.dataset.output_row import make_output_row
    from autocog_core.viz.tree_text import tree_text

    # A group keeps the lines: rich wraps a text alone.
    drawing = Group(tree_text(tree, new_console().width, bar=format_bar))
    try:
        row = make_output_row(0, tree)
    except InputError:
        show(drawing)
        raise
    if tree.stopped_by is not None:
        session.warn(f"the tree is incomplete: the budget of {tree.stopped_by} is spent")
    if row["fields"]:
        show(facts_table(_fields(row)))
    show(Text(_numbers(row), style="dim"), Text())
    if marginals:
        show(facts_table(_marginals(tree, marginals)), Text())
    show(drawing)


def _marginals(tree: ThoughtTree, names: Sequence[str]) -> Iterator[tuple[str, Text]]:
    """Yield the marginals of fields, of each item of a group on its own."""
    for name in names:
        keys = dict.fromkeys(node.keys for node in tree.nodes if node.name == name)
        for key in [key for key in keys if key] or [()]:
            marginal = tree.find_marginal(name, key)
            yield f"marginal {'.'.join((name, *key))}", _lines(marginal)


def _lines(marginal: Marginal) -> Text:
    return Text("\n".join(map(escape_controls, str(marginal).split("\n"))))


def _fields(row: OutputRow) -> Iterator[tuple[str, Text]]:
    for name, value in row["fields"].items():
        prob = _with_bounds(row["probs"].get(name), row.get("prob_bounds", {}).get(name))
        yield from _field(name, value, prob)


def _with_bounds(prob: Any, bounds: Any) -> Any:
    """Return the probabilities of a field; its bounds, as a tuple, where one is not known."""
    if isinstance(bounds, dict):
        probs = prob or {}
        return {key: _with_bounds(probs.get(key), entry) for key, entry in bounds.items()}
    if isinstance(prob, list):
        has_all = isinstance(bounds, list) and len(bounds) == len(prob)
        return [*map(_with_bounds, prob, bounds if has_all else [None] * len(prob))]
    return tuple(bounds) if prob is None and bounds is not None else prob


def _format_prob(prob: float | tuple[float, float]) -> str:
    if isinstance(prob, tuple):
        return "prob between " + " and ".join(map(format_probability, prob))
    return format_probability(prob)


def _field(name: str, value: Any, prob: Any) -> Iterator[tuple[str, Text]]:
    """Yield a line for each value of a field: for each of a list, and for each item of a group."""
    is_record = isinstance(value, list | dict) and isinstance(prob, float)
    if isinstance(value, dict) and not is_record:
        probs = prob or {}
        for key, entry in value.items():
            yield from _field(f"{name}.{key}", entry, probs.get(key))
    elif isinstance(value, list) and not is_record:
        # Actions of another kind may have the same name: then the shares are not those of all.
        has_all = isinstance(prob, list) and len(prob) == len(value)
        for entry, entry_prob in zip(value, prob if has_all else [None] * len(value), strict=True):
            yield from _field(name, entry, entry_prob)
    else:
        suffix = "" if prob is None else f"  {_format_prob(prob)}"
        yield name, Text.assemble(escape_controls(value_text(value).strip()), (suffix, "cyan"))


def _numbers(row: OutputRow) -> str:
    margin = "" if row["margin"] is None else f", margin {row['margin']:.3f} nats"
    return (
        f"prob {'unknown' if row['prob'] is None else format_probability(row['prob'])}{margin}, "
        f"logprob {format_logprob(row['logprob'])}, "
        f"{row['tokens_evaluated']} tokens evaluated"
    )


def show_summary(
    summary: Summary, progress: RunProgress | None = None, *, source: str = "the input"
) -> None:
    """Print the totals of all rows on stderr, and warn if they cannot be what was meant.

    :param summary: the totals.
    :param progress: the progress of the run; None if the rows are those of earlier runs.
    :param source: what messages call the rows' source.
    """
    session.show_facts(_summary_facts(summary, progress))
    if not summary.rows:
        session.warn(f"{source} has no rows")
    accuracy = summary.accuracy
    if accuracy is not None and accuracy.impossible and accuracy.impossible == accuracy.answered:
        session.warn(
            f"no right answer is among the choices of its row: {_impossible_example(accuracy)}; "
            "check --gold, and how both are written"
        )


def check_success(summary: Summary) -> None:
    """Check that a row succeeded.

    :raises FailedRowsError: if there are rows, and all have errors.
    """
    if summary.rows and summary.errors == summary.rows:
        some = "1 has an error" if summary.errors == 1 else f"{summary.errors:,} have errors"
        raise FailedRowsError(f"no row succeeded, {some}{_first_error(summary.first_error)}")


def show_usage(usage: Mapping[str, Usage]) -> None:
    """Print on stderr what the models used, if any of them counts it."""
    if usage:
        session.show_facts(_usage_facts(usage))


def _summary_facts(summary: Summary, progress: RunProgress | None) -> Iterator[tuple[str, str]]:
    before = 0 if progress is None else progress.rows_before
    yield "rows", f"{summary.rows:,}" + (f" ({before:,} of them before)" if before else "")
    yield "errors", f"{summary.errors:,}{_first_error(summary.first_error)}"
    if summary.stopped:
        yield "stopped", f"{summary.stopped:,} by the budget; their records are incomplete"
    yield "tokens", f"{summary.tokens:,} evaluated"
    yield from _usage_facts(summary.usage)
    if progress is not None:
        new_rows = summary.rows - before
        rate = f", {format_rate(new_rows / progress.seconds)}" if new_rows else ""
        yield "time", f"{format_duration(progress.seconds)}{rate}"
    if summary.accuracy is not None:
        yield from _accuracy_facts(summary.accuracy)
    if summary.marginal_accuracy is not None:
        for name, text in _accuracy_facts(summary.marginal_accuracy):
            yield f"marginal {name}", text


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
        f"{accuracy.accuracy:.4f} of {accuracy.field}: {accuracy.right:,} right of "
        f"{accuracy.answered:,} answered; 95% interval {low:.4f} to {high:.4f} (Wilson)",
    )
    if accuracy.impossible:
        some = f"{accuracy.impossible:,} right answers are none of the choices of their row"
        if accuracy.impossible == 1:
            some = "1 right answer is none of the choices of its row"
        yield "no choice", f"{some}: {_impossible_example(accuracy)}"
    if accuracy.calibration_error is not None and accuracy.brier is not None:
        yield (
            "calibration",
            f"expected error {accuracy.calibration_error:.4f} (10 bins), "
            f"Brier score {accuracy.brier:.4f}",
        )


def _impossible_example(accuracy: Accuracy) -> str:
    """Return a right answer that is no choice, and a choice of the same row."""
    from autocog_core.dataset.output_row import last_value

    row = accuracy.impossible_row
    assert row is not None
    right, choice = row["gold"], value_text(last_value(row["fields"][accuracy.field]))
    return f"in row {row['row']}, {shorten(right)!r} is right, and a choice is {shorten(choice)!r}"


def _first_error(row: Any) -> str:
    from autocog_core.dataset.file_run import describe_error

    return "" if row is None else f"; the first: {describe_error(row)}"
