"""Run an automaton on the rows of a data set, and write one output row for each."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from autocog_core.automaton.inputs import REQUIRED
from autocog_core.dataset import input_rows, output_file
from autocog_core.dataset.expected import Gold
from autocog_core.dataset.input_rows import Row
from autocog_core.dataset.output_file import OutputFile
from autocog_core.dataset.output_row import OutputRow, make_error_row, make_output_row
from autocog_core.dataset.summary import Summary, summarize
from autocog_core.dataset.usage import UsageMeter
from autocog_core.errors import AutocogError, InputError
from autocog_core.evaluation.evaluation import Strategy
from autocog_core.hooks.automaton_run import Budget
from autocog_core.model.automaton import Automaton
from autocog_core.model.model import Model
from autocog_core.types.backend_info import Usage
from autocog_core.types.thought_tree import ThoughtTree
from autocog_core.version import __version__

#: How many retried rows replace their old ones at once.
RETRY_BATCH_ROWS = 100


@dataclass(frozen=True, slots=True)
class RowResult:
    """Result of one input row.

    :ivar output_row: the output row.
    :ivar tree: the thought tree; None for an error.
    """

    output_row: OutputRow
    tree: ThoughtTree | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a run over a file.

    :ivar done: rows in the output.
    :ivar resumed: rows of an earlier run among them.
    :ivar total: rows in the output at the end of the run.
    :ivar errors: rows of this run with an error.
    """

    done: int
    resumed: int = 0
    total: int
    errors: int


@dataclass(frozen=True)
class Run:
    """How to run an automaton on each row.

    :ivar automaton: the automaton.
    :ivar model: the main model.
    :ivar models: the models that actions name.
    :ivar budget: the budget of each row.
    :ivar concurrency: how many rows run at once.
    :ivar gold: the right answers, which are added to the output rows.
    :ivar tree_dir: a folder for the whole trees (`000012.json` for row 12); None writes none.
    :ivar strategy: "token_tree" or "text"; None uses "token_tree" where the model supports it.
    """

    automaton: Automaton
    model: Model
    _: KW_ONLY
    models: Mapping[str, Model] = field(default_factory=dict)
    budget: Budget | None = None
    concurrency: int = 1
    gold: Gold | None = None
    tree_dir: Path | None = None
    strategy: Strategy | None = None

    def start_usage_meter(self) -> UsageMeter:
        """Start to count the usage of the models."""
        return UsageMeter(self.model, self.models)

    def run_rows(self, rows: Iterable[Row]) -> Iterator[RowResult]:
        """Yield the result of each row, in order. A bad row yields an error, and the run continues.

        :param rows: the input rows.
        :raises AutocogError: for errors that concern all rows, such as a closed model.
        """
        for is_readable, group in groupby(rows, lambda row: row.error is None):
            run_group = self._run_readable if is_readable else self._report_unreadable
            yield from run_group(group)

    def identity(self, source: Path) -> dict[str, Any]:
        """Return everything that determines the output for an input file."""
        with source.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = source.stat().st_size
        models = {name: _model_identity(model) for name, model in sorted(self.models.items())}
        return {
            "program": self.automaton.digest,
            "model": _model_identity(self.model),
            "models": models,
            "input": {"format": source.suffix.lower(), "size": size, "sha256": digest},
            "budget": asdict(self.budget or Budget()),
            "strategy": self.strategy,
            "gold": None if self.gold is None else asdict(self.gold),
            "folder of trees": None if self.tree_dir is None else str(self.tree_dir),
            "version of autocog": __version__,
        }

    def _run_readable(self, rows: Iterable[Row]) -> Iterator[RowResult]:
        pending: deque[Row] = deque()
        results = self.automaton.run_many(
            self.model,
            _values(rows, pending),
            models=self.models,
            budget=self.budget,
            strategy=self.strategy,
            concurrency=self.concurrency,
        )
        for result in results:
            yield self._row_result(pending.popleft(), result)

    def _report_unreadable(self, rows: Iterable[Row]) -> Iterator[RowResult]:
        for row in rows:
            assert row.error is not None
            yield self._row_result(row, row.error)

    def _row_result(self, row: Row, outcome: ThoughtTree | AutocogError) -> RowResult:
        try:
            if isinstance(outcome, AutocogError):
                raise outcome
            result = RowResult(make_output_row(row.index, self.automaton, outcome), outcome)
        except AutocogError as error:
            result = RowResult(make_error_row(row.index, error))
        if self.gold is not None:
            result.output_row["gold"] = self.gold.right_answer(row.values)
        if self.tree_dir is not None and result.tree is not None:
            # Before the row is written: a run does not repeat rows of its output.
            _write_tree(self.tree_dir, row.index, result.tree)
        return result


def run_file(
    run: Run,
    source: Path,
    output: Path,
    *,
    limit: int | None = None,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Write one row of `output` for each row of `source`; resume an interrupted run.

    A run that is interrupted or killed loses no complete row and repeats none, except rows with
    retryable errors.

    :param run: how to run each row.
    :param source: the input file.
    :param output: the output file.
    :param limit: maximum number of rows; a later run with a larger limit continues.
    :param overwrite: remove the output of an earlier run first.
    :param on_progress: called at the start and after each row.
    :returns: the summary of all rows of the output.
    :raises InputError: if another automaton, model or input has made the rows of `output`.
    """
    check_columns(source, run.automaton, run.gold)
    _reject_same_file(source, output)
    with output_file.lock_output(output):
        if overwrite:
            output_file.remove_output(output)
            _remove_trees(run.tree_dir)
        with output_file.open_output(output, run.identity(source)) as file:
            usage = _write_rows(run, source, file, limit, on_progress)
        summary = summarize(output, run.gold.field if run.gold is not None else None)
        return replace(summary, usage=usage)


def _write_rows(
    run: Run,
    source: Path,
    file: OutputFile,
    limit: int | None,
    on_progress: Callable[[Progress], None],
) -> dict[str, Usage]:
    resumed, errors = file.rows - len(file.retryable_rows), 0
    total = max(file.rows, input_rows.count_rows(source, limit))
    on_progress(Progress(done=resumed, resumed=resumed, total=total, errors=errors))
    meter = run.start_usage_meter()
    with closing(_remaining_results(run, source, file, total)) as results:
        for done, (result, write) in enumerate(results, resumed + 1):
            errors += result.output_row["error"] is not None
            write(result.output_row)
            on_progress(Progress(done=done, resumed=resumed, total=total, errors=errors))
    return meter.read()


def _remaining_results(
    run: Run, source: Path, file: OutputFile, total: int
) -> Generator[tuple[RowResult, Callable[[OutputRow], None]], None, None]:
    """Yield the results that the output lacks, each with the function that writes its row.

    Retries come first. Each replacement copies the whole file, so rows are replaced in batches.
    """
    retried: dict[int, OutputRow] = {}

    def keep(row: OutputRow) -> None:
        retried[row["row"]] = row

    retryable = set(file.retryable_rows)
    rows = (row for row in input_rows.read_rows(source, 0, file.rows) if row.index in retryable)
    try:
        for result in run.run_rows(rows) if retryable else ():
            yield result, keep
            if len(retried) >= RETRY_BATCH_ROWS:
                file.replace(retried)
                retried.clear()
    finally:
        # Also after an interrupt, so that finished rows are not lost.
        if retried:
            file.replace(retried)
    for result in run.run_rows(input_rows.read_rows(source, file.rows, total)):
        yield result, file.write


def check_columns(source: Path, automaton: Automaton, gold: Gold | None = None) -> None:
    """Check that an input file has all columns that every row needs.

    :param source: the input file.
    :param automaton: the automaton, whose required inputs are columns.
    :param gold: the right answers, whose column is required too.
    :raises InputError: naming the missing columns.
    """
    columns = input_rows.column_names(source)
    if columns is None:
        return
    required = [name for name, input_ in automaton.inputs.items() if input_.default is REQUIRED]
    required += [gold.column] if gold is not None else []
    missing = [name for name in dict.fromkeys(required) if name not in columns]
    if missing:
        raise InputError(
            "there is no column " + ", ".join(f'"{name}"' for name in missing),
            where=str(source),
            hint="its columns are: " + ", ".join(f'"{name}"' for name in columns),
        )


def _values(rows: Iterable[Row], pending: deque[Row]) -> Iterator[Mapping[str, Any]]:
    """Yield the values of rows, and append the rows to `pending`."""
    for row in rows:
        pending.append(row)
        yield row.values


def _model_identity(model: Model) -> dict[str, str]:
    return {"name": model.info.name, "fingerprint": model.info.fingerprint}


def _reject_same_file(source: Path, output: Path) -> None:
    if output.exists() and output.samefile(source):
        raise InputError("is the input file", where=str(output), hint="name another output file")


def _write_tree(folder: Path, row: int, tree: ThoughtTree) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be created: {error.strerror}", where=str(folder)) from error
    output_file.write_file(folder / f"{row:06d}.json", json.dumps(tree.to_dict()) + "\n")


def _remove_trees(folder: Path | None) -> None:
    if folder is not None and folder.is_dir():
        for path in folder.iterdir():
            if path.name.partition(".")[0].isdigit() and path.suffix in (".json", ".part"):
                path.unlink()
