"""An automaton over the rows of a data set, one output row for each."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from autocog_core.automaton.inputs import REQUIRED
from autocog_core.dataset import input_rows, output_file
from autocog_core.dataset.expected import Gold
from autocog_core.dataset.input_rows import Row
from autocog_core.dataset.output_row import Record, error_record, record_of
from autocog_core.dataset.summary import Summary, summarize
from autocog_core.dataset.usage import Meter
from autocog_core.errors import AutocogError, InputError
from autocog_core.evaluation.evaluation import Strategy
from autocog_core.hooks.automaton_run import Budget
from autocog_core.model.automaton import Automaton
from autocog_core.model.model import Model
from autocog_core.types.thought_tree import ThoughtTree
from autocog_core.version import __version__

#: Rows that are tried again and put into the output together.
REPLACED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """What a row came to: its output row, and the tree; None for an error."""

    record: Record
    tree: ThoughtTree | None = None


@dataclass(frozen=True)
class Run:
    """What is done with each row.

    :ivar models: those that actions name. `budget`: of each row. `concurrency`: rows at once.
    :ivar gold: where the right answer is; the output row says it too.
    :ivar trees: a folder for the whole trees: `000012.json` for row 12.
    :ivar strategy: how the models are asked; None takes the exact one where they can.
    """

    automaton: Automaton
    model: Model
    models: Mapping[str, Model] = field(default_factory=dict)
    budget: Budget | None = None
    concurrency: int = 1
    gold: Gold | None = None
    trees: Path | None = None
    strategy: Strategy | None = None

    def meter(self) -> Meter:
        """Begins to count what its models are asked for."""
        return Meter(self.model, self.models)

    def answers(self, source: Iterable[Row]) -> Iterator[Answer]:
        """One answer a row, in their order; a bad row gives an error, and is not the end.

        :raises AutocogError: for what would befall every row: a model that is closed or broken.
        """
        for readable, group in groupby(source, lambda row: row.error is None):
            answers = self._run if readable else self._unread
            yield from answers(group)

    def identity(self, source: Path) -> dict[str, Any]:
        """All that decides what the output of an input file is."""
        with source.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = source.stat().st_size
        named = {name: _model_identity(model) for name, model in sorted(self.models.items())}
        return {
            "program": self.automaton.digest,
            "model": _model_identity(self.model),
            "models": named,
            "input": {"format": source.suffix.lower(), "size": size, "sha256": digest},
            "budget": asdict(self.budget or Budget()),
            "strategy": self.strategy,
            "gold": None if self.gold is None else asdict(self.gold),
            "folder of trees": None if self.trees is None else str(self.trees),
            "version of autocog": __version__,
        }

    def _run(self, source: Iterable[Row]) -> Iterator[Answer]:
        taken: deque[Row] = deque()
        results = self.automaton.run_many(
            self.model,
            _values(source, taken),
            models=self.models,
            budget=self.budget,
            strategy=self.strategy,
            concurrency=self.concurrency,
        )
        for result in results:
            yield self._answer(taken.popleft(), result)

    def _unread(self, source: Iterable[Row]) -> Iterator[Answer]:
        for row in source:
            assert row.error is not None
            yield self._answer(row, row.error)

    def _answer(self, row: Row, result: ThoughtTree | AutocogError) -> Answer:
        try:
            if isinstance(result, AutocogError):
                raise result
            answer = Answer(record_of(row.index, self.automaton, result), result)
        except AutocogError as error:
            answer = Answer(error_record(row.index, error))
        if self.gold is not None:
            answer.record["gold"] = self.gold.of(row.values)
        if self.trees is not None and answer.tree is not None:
            # Before anybody has the row: a row that is written is never done again.
            _write_tree(self.trees, row.index, answer.tree)
        return answer


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    :ivar done: rows in the output. `begun`: how many were there before. `total`: at its end.
    :ivar errors: rows with errors since it began.
    """

    done: int
    begun: int
    total: int
    errors: int


def run_file(
    run: Run,
    source: Path,
    output: Path,
    *,
    limit: int | None = None,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Write a row of `output` for each row of `source`, and go on where an earlier run ended.

    Interrupted or killed at any moment and called again, it loses nothing and does nothing twice;
    rows that ended in an error which may pass, of a server say, are tried again.

    :param limit: rows at most; a later run with a larger one goes on.
    :param overwrite: remove what an earlier run has left.
    :raises InputError: if something else than this has made the rows of `output`.
    """
    check_columns(source, run.automaton, run.gold)
    _refuse_same_file(source, output)
    with output_file.locked(output):
        if overwrite:
            output_file.forget(output)
            _forget_trees(run.trees)
        with output_file.open_journal(output, run.identity(source)) as written:
            begun, errors = written.rows - len(written.passing), 0
            total = max(written.rows, input_rows.count_rows(source, limit))
            done = begun
            on_progress(Progress(done, begun, total, errors))
            meter = run.meter()
            with closing(_answers(run, source, written, total)) as answers:
                for answer, put in answers:
                    errors += answer.record["error"] is not None
                    done += 1
                    put(answer.record)
                    on_progress(Progress(done, begun, total, errors))
            used = meter.read()
        summary = summarize(output, run.gold.field if run.gold is not None else None)
        return replace(summary, usage=used)


def _answers(
    run: Run, source: Path, written: output_file.Journal, total: int
) -> Generator[tuple[Answer, Callable[[Record], None]], None, None]:
    """All that is left to do, each with what is to be done with its record.

    First come rows that an earlier run had to leave with an error which may pass. Their new rows
    take the places of the old ones many at a time, for each time the file is written anew.
    """
    again: dict[int, Record] = {}

    def keep(record: Record) -> None:
        again[record["row"]] = record

    passing = set(written.passing)
    failed = (row for row in input_rows.read_rows(source, 0, written.rows) if row.index in passing)
    try:
        for answer in run.answers(failed) if passing else ():
            yield answer, keep
            if len(again) >= REPLACED_AT_ONCE:
                written.replace(again)
                again.clear()
    finally:
        # Also when it is interrupted: what was done is not lost.
        if again:
            written.replace(again)
    for answer in run.answers(input_rows.read_rows(source, written.rows, total)):
        yield answer, written.write


def check_columns(source: Path, automaton: Automaton, gold: Gold | None = None) -> None:
    """Refuse an input that has not what every row needs.

    :raises InputError: naming the columns that are missing.
    """
    columns = input_rows.column_names(source)
    if columns is None:
        return
    needed = [name for name, each in automaton.inputs.items() if each.default is REQUIRED]
    needed += [gold.column] if gold is not None else []
    missing = [name for name in dict.fromkeys(needed) if name not in columns]
    if missing:
        raise InputError(
            "there is no column " + ", ".join(f'"{name}"' for name in missing),
            where=str(source),
            hint="its columns are: " + ", ".join(f'"{name}"' for name in columns),
        )


def _values(source: Iterable[Row], taken: deque[Row]) -> Iterator[Mapping[str, Any]]:
    """The values of rows, which are put into `taken` as they pass."""
    for row in source:
        taken.append(row)
        yield row.values


def _model_identity(model: Model) -> dict[str, str]:
    return {"name": model.info.name, "fingerprint": model.info.fingerprint}


def _refuse_same_file(source: Path, output: Path) -> None:
    if output.exists() and output.samefile(source):
        raise InputError("is the input", where=str(output), hint="give another output")


def _write_tree(folder: Path, row: int, tree: ThoughtTree) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", where=str(folder)) from error
    output_file.write_whole(folder / f"{row:06d}.json", json.dumps(tree.to_dict()) + "\n")


def _forget_trees(folder: Path | None) -> None:
    if folder is not None and folder.is_dir():
        for path in folder.iterdir():
            if path.name.partition(".")[0].isdigit() and path.suffix in (".json", ".part"):
                path.unlink()
