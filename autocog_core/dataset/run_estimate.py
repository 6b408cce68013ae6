"""What a run over a file would cost: counted from its rows, and measured on a few of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from autocog_core.automaton.actions import Messages, Text
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.templates.template import Template
from autocog_core.automaton.winners import ChoiceProbs, with_winners
from autocog_core.dataset.input_rows import Row, count_rows, read_rows
from autocog_core.dataset.output_row import OutputRow
from autocog_core.dataset.row_source import RowSource
from autocog_core.dataset.run import Run
from autocog_core.dataset.shard import WHOLE, Shard
from autocog_core.errors import AutocogError
from autocog_core.evaluation.cost_estimate import estimate_cost
from autocog_core.hooks.client import BackendClient
from autocog_core.model.automaton import Automaton
from autocog_core.scoring.prompt_encoding import encode_prompt
from autocog_core.types.backend_info import Usage
from autocog_core.types.prompt import Prompt, TextPiece

#: Rows whose texts are counted; of longer files, that many are.
MAX_COUNTED_ROWS = 500
#: Rows that are run.
SAMPLE_ROWS = 10
#: No further row is run after this time.
MAX_SAMPLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRun:
    """What running a few rows took.

    :ivar rows: the indices of the rows.
    :ivar errors: rows among them with an error.
    :ivar first_error: the output row of the first one.
    :ivar seconds_per_row: mean time of a row. A first row, which is run before, does not count.
    :ivar tokens_per_row: mean number of evaluated tokens of the rows without an error.
    :ivar min_tokens: the smallest number of evaluated tokens of a row.
    :ivar max_tokens: the largest one.
    :ivar usage: usage by model, of the models that count it.
    """

    rows: tuple[int, ...]
    errors: int
    first_error: OutputRow | None = None
    seconds_per_row: float
    tokens_per_row: float
    min_tokens: int
    max_tokens: int
    usage: Mapping[str, Usage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEstimate:
    """What a run over a file would cost.

    The numbers for all rows are sums if `counted_rows` is `rows`. Otherwise they are the means of
    the counted rows, which are spread evenly over the file, times the number of rows.

    :ivar rows: rows of the run.
    :ivar counted_rows: rows whose inputs were filled in.
    :ivar errors: rows among them that would be errors.
    :ivar first_error: the index of the first one, and its error.
    :ivar max_calls: the largest number of model calls.
    :ivar prompt_tokens: tokens of the rows' texts before the first decision of the model, with BOS;
        None without a model.
    :ivar max_tokens: the largest number of tokens that models evaluate which evaluate each token of
        a row once (`estimate_cost`); None without a model.
    :ivar is_lower_bound: whether a program has too many states to bound its cost.
    :ivar sample: what running a few rows took; None without a model.
    """

    rows: int
    counted_rows: int
    errors: int
    first_error: tuple[int, AutocogError] | None
    max_calls: int
    prompt_tokens: int | None
    max_tokens: int | None
    is_lower_bound: bool
    sample: SampleRun | None = None

    @property
    def seconds(self) -> float | None:
        """Seconds of the run at the rate of the sample; None without a sample."""
        return None if self.sample is None else self.rows * self.sample.seconds_per_row

    @property
    def tokens(self) -> int | None:
        """Evaluated tokens of the run by the mean of the sample; None without a sample.

        As many rows are errors, which evaluate nothing, as in the sample.
        """
        if self.sample is None:
            return None
        succeeding = 1 - self.sample.errors / len(self.sample.rows)
        return round(self.rows * succeeding * self.sample.tokens_per_row)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        data = {name: getattr(self, name) for name in self.__slots__ if name != "sample"}
        if self.first_error is not None:
            index, error = self.first_error
            data["first_error"] = {"row": index, "message": str(error)}
        sample = None if self.sample is None else asdict(self.sample)
        return {**data, "seconds": self.seconds, "tokens": self.tokens, "sample": sample}


def estimate_rows(
    automaton: Automaton,
    source: RowSource,
    values: Mapping[str, Any],
    limit: int | None = None,
    client: BackendClient | None = None,
    probs: ChoiceProbs = "all",
    shard: Shard = WHOLE,
) -> RunEstimate:
    """Count what the rows of a file cost, without running them.

    :param automaton: the automaton.
    :param source: the input.
    :param values: values of inputs that are the same for all rows.
    :param limit: maximum number of rows.
    :param client: the main model's client; None counts no tokens.
    :param probs: as in `Run`. The run may evaluate fewer tokens for "winner", in more calls.
    :param shard: the rows that count.
    :raises InputError: for an automaton with errors, or an input that cannot be read.
    """
    rows = shard.size(count_rows(source, limit))
    indices = [shard.row(position) for position in spread(rows, MAX_COUNTED_ROWS)]
    calls = tokens = prompt_tokens = errors = 0
    first_error = None
    is_lower_bound = False
    for row in _select(source, indices):
        try:
            if row.error is not None:
                raise row.error
            bound = with_winners(automaton.bind({**values, **row.values}), probs)
            cost = estimate_cost(bound, client)
            prompt_tokens += 0 if client is None else _count_prompt_tokens(bound, client)
        except AutocogError as error:
            errors += 1
            first_error = first_error or (row.index, error)
            continue
        calls += cost.calls
        tokens += cost.tokens
        is_lower_bound = is_lower_bound or cost.is_lower_bound
    scale = rows / len(indices) if indices else 0
    return RunEstimate(
        rows=rows,
        counted_rows=len(indices),
        errors=errors,
        first_error=first_error,
        max_calls=round(calls * scale),
        prompt_tokens=None if client is None else round(prompt_tokens * scale),
        max_tokens=None if client is None else round(tokens * scale),
        is_lower_bound=is_lower_bound,
    )


def run_sample(run: Run, source: RowSource, rows: int, shard: Shard = WHOLE) -> SampleRun | None:
    """Run a few rows, spread evenly over a file, and measure what they take.

    The models keep what they keep in any run, such as a cache. Nothing else is written.

    :param run: how to run each row.
    :param source: the input.
    :param rows: the number of its rows in the shard.
    :param shard: the rows among which the sample is.
    :returns: the measurements; None if there are no rows.
    """
    # Of rows that run together, several groups.
    positions = spread(rows, max(SAMPLE_ROWS, 2 * run.rows_at_once))
    indices = [shard.row(position) for position in positions]
    sample = list(_select(source, indices))
    if not sample:
        return None
    meter = run.start_usage_meter()
    # The first row takes longer: engines prepare themselves for it.
    results, seconds_per_row = _run_timed(run, sample[:1])
    if len(sample) > 1:
        others, seconds_per_row = _run_timed(run, sample[1:])
        results += others
    failed = [row for row in results if row["error"] is not None]
    tokens = [row["tokens_evaluated"] for row in results if row["error"] is None] or [0]
    return SampleRun(
        rows=tuple(row["row"] for row in results),
        errors=len(failed),
        first_error=failed[0] if failed else None,
        seconds_per_row=seconds_per_row,
        tokens_per_row=sum(tokens) / len(tokens),
        min_tokens=min(tokens),
        max_tokens=max(tokens),
        usage=meter.read(),
    )


def spread(rows: int, number: int) -> list[int]:
    """Return the indices of some rows: the middles of parts of equal size."""
    number = min(rows, number)
    return [(2 * part + 1) * rows // (2 * number) for part in range(number)]


def _run_timed(run: Run, rows: Sequence[Row]) -> tuple[list[OutputRow], float]:
    """Run rows until the time is up; return their output rows, and the mean time of a row."""
    results: list[OutputRow] = []
    seconds = 0.0
    start = time.perf_counter()
    for result in run.run_rows(rows):
        results.append(result.output_row)
        seconds = time.perf_counter() - start
        if seconds > MAX_SAMPLE_SECONDS:
            break
    return results, seconds / len(results)


def _select(source: RowSource, indices: Sequence[int]) -> Iterator[Row]:
    selected = set(indices)
    limit = indices[-1] + 1 if indices else 0
    return (row for row in read_rows(source, 0, limit) if row.index in selected)


def _count_prompt_tokens(automaton: AutomatonGraph, client: BackendClient) -> int:
    """Return the number of tokens before the first action that needs the model."""
    pieces: list[Any] = []
    action: Any = automaton.entry
    if isinstance(action, Messages):
        if any(isinstance(message.content, Template) for message in action.messages):
            # They need what the model decides.
            return 0
        messages = [message.to_message() for message in action.messages]
        pieces += client.chat_prompt(messages, True, action.template_arguments).pieces
        action = automaton.successor(action)
    visited = set()
    while isinstance(action, Text) and action.uid not in visited:
        visited.add(action.uid)
        match action.text:
            case Prompt(parts):
                pieces += parts
            case Template():
                # It needs what the model decides.
                break
            case text:
                pieces.append(TextPiece(text))
        action = automaton.successor(action)
    return len(encode_prompt(client, Prompt(tuple(pieces)))) if pieces else 0
