"""What a run over a file would cost: the output of `run --dry-run` and of `check --input`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from autocog_core.cli.output import facts_table, show, show_json
from autocog_core.cli.run_progress import format_duration, format_rate
from autocog_core.cli.text import Text
from autocog_core.errors import shorten

if TYPE_CHECKING:
    from autocog_core.dataset import RowSource, Run, RunEstimate, SampleRun
    from autocog_core.dataset.shard import Shard

_NO_MODEL = "tokens and time need a model (--model NAME or --backend NAME)"


def estimate_run(
    job: Run, source: RowSource, limit: int | None = None, shard: Shard | None = None
) -> RunEstimate:
    """Return what a run would cost, from its rows and a sample that is run."""
    from autocog_core.dataset import estimate_rows, run_sample
    from autocog_core.dataset.shard import WHOLE

    shard = shard or WHOLE

    estimate = estimate_rows(
        job.automaton, source, job.values, limit, job.model.client, job.probs, shard
    )
    return replace(estimate, sample=run_sample(job, source, estimate.rows, shard))


def show_estimate(estimate: RunEstimate, *, as_json: bool = False) -> None:
    """Print an estimate on stdout."""
    if as_json:
        show_json(estimate.to_dict())
    else:
        show(facts_table((name, Text(value)) for name, value in estimate_facts(estimate)))


def estimate_facts(estimate: RunEstimate) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of an estimate's numbers."""
    is_counted = estimate.counted_rows == estimate.rows
    about = "" if is_counted else "about "
    at_most = "more than" if estimate.is_lower_bound else "at most"
    rows = f"{estimate.rows:,}"
    if not is_counted:
        rows += f"; texts are counted in {estimate.counted_rows:,} of them, spread over the input"
    yield "rows", rows
    if estimate.first_error is not None:
        index, error = estimate.first_error
        first = shorten(str(error), 200)
        yield "errors", f"{estimate.errors:,}; the first: row {index}: {first}"
    yield "model calls", f"{about}{at_most} {estimate.max_calls:,}"
    if estimate.prompt_tokens is not None:
        exact = "exact: every row is tokenized" if is_counted else "of all rows"
        yield "prompt tokens", f"{about}{estimate.prompt_tokens:,} ({exact})"
    if estimate.max_tokens is not None:
        once = "if the models evaluate each token of a row once"
        yield "tokens", f"{about}{at_most} {estimate.max_tokens:,} {once}"
    if estimate.sample is None:
        if estimate.prompt_tokens is None:
            yield "time", _NO_MODEL
        return
    yield from _sample_facts(estimate, estimate.sample)


def _sample_facts(estimate: RunEstimate, sample: SampleRun) -> Iterator[tuple[str, str]]:
    from autocog_core.dataset.file_run import describe_error

    yield (
        "evaluated",
        f"about {estimate.tokens:,} tokens: {sample.tokens_per_row:,.1f} a row in the sample "
        f"({sample.min_tokens:,} to {sample.max_tokens:,})",
    )
    for name, usage in sample.usage.items():
        share = estimate.rows / len(sample.rows)
        yield (
            f"usage of {name}",
            f"about {round(usage.requests * share):,} requests, "
            f"{round(usage.prompt_tokens * share):,} prompt tokens, "
            f"{round(usage.completion_tokens * share):,} completion tokens",
        )
    seconds = estimate.seconds or 0.0
    rate = f" ({format_rate(1 / sample.seconds_per_row)})" if sample.seconds_per_row else ""
    yield "time", f"about {format_duration(seconds)}{rate}"
    shown = shorten(", ".join(map(str, sample.rows)), 60)
    some = "1 row was" if len(sample.rows) == 1 else f"{len(sample.rows)} rows were"
    yield "sample", f"{some} run: {shown}"
    if sample.first_error is not None:
        first = describe_error(sample.first_error)
        yield "sample errors", f"{sample.errors:,}; the first: {first}"
