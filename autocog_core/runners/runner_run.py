"""RunnerRun: a run whose rows are worked on by a runner, with checks of what it yields."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Self

from autocog_core.config.plugin_label import label_of_plugin
from autocog_core.dataset.input_rows import Row
from autocog_core.dataset.output_row import OutputRow
from autocog_core.dataset.run_plan import ModelIdentity, RunPlan
from autocog_core.dataset.tree_files import write_tree_text
from autocog_core.errors import AUTHOR_HINT, ConfigError, ContractError
from autocog_core.runners.batches import make_batches
from autocog_core.runners.job import Job
from autocog_core.runners.messages import MessageRelay
from autocog_core.runners.model_references import ModelReferences
from autocog_core.runners.runner import Runner
from autocog_core.runners.worker import WorkedBatch, WorkedRow, WorkerReport
from autocog_core.types.backend_info import Usage
from autocog_core.version import __version__

log = logging.getLogger(__name__)


@dataclass
class _Started:
    """What is known once the workers are started."""

    report: WorkerReport | None = None
    relay: MessageRelay = field(default_factory=MessageRelay)
    usage: dict[str, Usage] = field(default_factory=dict)


@dataclass(frozen=True)
class RunnerRun(RunPlan):
    """How to run an automaton on each row, with models that the workers of a runner load.

    It is a context manager that starts and stops the workers. This process alone writes the output,
    so that a run with another runner can continue it.

    The other arguments are those of `RunPlan`.

    :ivar models: the models.
    :ivar runner: the runner.
    """

    models: ModelReferences
    runner: Runner
    _: KW_ONLY
    _started: _Started = field(default_factory=_Started, repr=False, compare=False)

    def __enter__(self) -> Self:
        """Start the workers.

        :raises AutocogError: if a worker cannot start.
        """
        start = time.perf_counter()
        report = self.runner.start(self._job())
        try:
            self._require_type(report, WorkerReport, "`start` returned", "a WorkerReport")
            _require_versions(report, {"autocog-core": __version__})
        except BaseException:
            self.runner.stop()
            raise
        self._started.report = report
        number = self.runner.workers_at_start
        some = "1 worker" if number == 1 else f"{number} workers"
        log.info("%s started in %.1f s", some, time.perf_counter() - start)
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the workers."""
        start = time.perf_counter()
        self.runner.stop()
        self._started.report = None
        log.info("the workers stopped in %.1f s", time.perf_counter() - start)

    @property
    def backend_name(self) -> str:
        """The name of the main model's backend."""
        return self._report.backend

    def model_identities(self) -> Mapping[str | None, ModelIdentity]:
        """Return what identifies each model, by the name that actions use; None is the main one."""
        return self._report.models

    def start_usage_meter(self) -> _Meter:
        """Start to count the usage of the workers' models."""
        return _Meter(self._started.usage)

    def output_rows(self, rows: Iterable[Row]) -> Iterator[OutputRow]:
        """Yield the output row of each row, in order, and write its tree if `tree_dir` is given.

        :param rows: the input rows.
        :raises AutocogError: for errors that concern all rows.
        :raises ConfigError: if a worker has other models, or other versions, than the first one.
        :raises ContractError: if the runner loses or repeats a row, or changes their order.
        """
        waiting: deque[Row] = deque()

        def keep(read: Iterable[Row]) -> Iterator[Row]:
            for row in read:
                waiting.append(row)
                yield row

        batches = make_batches(keep(rows), self._report.rows_at_once)
        found = self.runner.run(batches)
        self._require_type(found, Iterable, "`run` returned", "an iterator")
        with closing(_generator(found)) as results:
            for batch in results:
                self._require_type(batch, WorkedBatch, "`run` yielded", "a WorkedBatch")
                self._accept(batch)
                for worked in batch.rows:
                    self._require_next(waiting.popleft() if waiting else None, worked)
                    if self.tree_dir is not None:
                        # Before the row is written: a run does not repeat rows of its output.
                        write_tree_text(self.tree_dir, worked.output_row["row"], worked.tree)
                    yield worked.output_row
                if batch.error is not None:
                    raise batch.error
        if waiting:
            self._require_next(waiting[0], None)

    @property
    def _report(self) -> WorkerReport:
        if self._started.report is None:
            raise RuntimeError("the workers are not started: use `with`")
        return self._started.report

    def _job(self) -> Job:
        return Job(
            program=self.automaton.to_dict(),
            models=self.models,
            values=self.values,
            budget=self.budget,
            concurrency=self.concurrency,
            gold=self.gold,
            strategy=self.strategy,
            marginals=tuple(self.marginals),
            probs=self.probs,
            has_trees=self.tree_dir is not None,
            folder=Path.cwd(),
        )

    def _accept(self, batch: WorkedBatch) -> None:
        """Check the worker of a batch, and add its usage and messages to those of the run."""
        first, report = self._report, batch.report
        self._started.relay.show(batch.messages)
        if report != first:
            _require_versions(report, first.versions)
            _require_models(report, first)
        usage = self._started.usage
        for name, counts in batch.usage.items():
            usage[name] = usage.get(name, Usage()) + counts

    def _require_next(self, row: Row | None, worked: WorkedRow | None) -> None:
        expected = "no row" if row is None else f"row {row.index}"
        found = "no row" if worked is None else f"row {worked.output_row['row']}"
        if found != expected:
            raise self._broken(f"returned {found} in place of {expected}")

    def _require_type(self, answer: object, kind: type, what: str, wanted: str) -> None:
        if not isinstance(answer, kind):
            raise self._broken(f"{what} {type(answer).__name__} in place of {wanted}")

    def _broken(self, problem: str) -> ContractError:
        return ContractError(problem, where=label_of_plugin(self.runner), hint=AUTHOR_HINT)


class _Meter:
    """What the workers used since the meter was made."""

    def __init__(self, usage: Mapping[str, Usage]) -> None:
        self._usage = usage
        self._initial = dict(usage)

    def read(self) -> dict[str, Usage]:
        return {
            name: counts - self._initial.get(name, Usage()) for name, counts in self._usage.items()
        }


def _generator(results: Iterable[WorkedBatch]) -> Generator[WorkedBatch, None, None]:
    """Return a generator, which can be closed, and closes another one."""
    yield from results


def _require_versions(report: WorkerReport, expected: Mapping[str, str]) -> None:
    for name, version in expected.items():
        found = report.versions.get(name)
        if found != version:
            has = "does not have it" if found is None else f"has {found}"
            raise ConfigError(
                f"a worker ({report.place}) {has}, and others have {version}",
                where=name,
                hint="install the same versions everywhere",
            )


def _require_models(report: WorkerReport, first: WorkerReport) -> None:
    for name, identity in first.models.items():
        found = report.models.get(name, {})
        for key, value in identity.items():
            if found.get(key) != value:
                raise ConfigError(
                    f"another model: its {key} is {found.get(key)} on a worker "
                    f"({report.place}), and {value} on another one ({first.place})",
                    where="the main model" if name is None else f'model "{name}"',
                    hint="give all workers the same files",
                )
