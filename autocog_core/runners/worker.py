"""Worker: loads the models of a job, and works on batches of its rows. It writes nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Self

from autocog_core.dataset.output_row import OutputRow
from autocog_core.dataset.run import Run
from autocog_core.dataset.run_plan import ModelIdentity
from autocog_core.dataset.tree_files import tree_text
from autocog_core.dataset.usage import UsageMeter
from autocog_core.errors import AutocogError
from autocog_core.runners.job import Batch, Job
from autocog_core.runners.messages import Message
from autocog_core.types.backend_info import Usage


@dataclass(frozen=True, kw_only=True)
class WorkerReport:
    """What a worker has loaded.

    :ivar models: what identifies each model, by the name that actions use; None is the main one.
    :ivar backend: the name of the main model's backend.
    :ivar rows_at_once: how many rows it runs at once.
    :ivar versions: the versions of core and of the models' plugins, by distribution.
    :ivar computer: the name of the worker's computer.
    :ivar process: the id of its process.
    """

    models: Mapping[str | None, ModelIdentity]
    backend: str
    rows_at_once: int
    versions: Mapping[str, str]
    computer: str
    process: int

    @property
    def place(self) -> str:
        """The worker's computer and process, for messages."""
        return f"{self.computer}, process {self.process}"


@dataclass(frozen=True, slots=True)
class WorkedRow:
    """The result of a row.

    :ivar output_row: the output row.
    :ivar tree: the content of its tree's file; None if it has none, or none is wanted.
    """

    output_row: OutputRow
    tree: str | None = None


@dataclass(frozen=True, kw_only=True)
class WorkedBatch:
    """The results of a batch.

    :ivar report: the worker's report.
    :ivar rows: the results, in the order of the rows; fewer than those of the batch with an error.
    :ivar usage: what the models used for them, by model.
    :ivar error: an error that every row would have, and that ends the run.
    :ivar messages: warnings and log messages since the last batch.
    """

    report: WorkerReport
    rows: Sequence[WorkedRow]
    usage: Mapping[str, Usage] = field(default_factory=dict)
    error: AutocogError | None = None
    messages: Sequence[Message] = ()

    def with_messages(self, messages: Sequence[Message]) -> Self:
        """Return this result with the messages of its process."""
        return replace(self, messages=messages)


class Worker:
    """One set of loaded models that works on batches. A runner has some of them.

    It is a context manager that closes the models.

    :param job: the job. Its models are loaded by `start`, or by the first batch.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._stack = ExitStack()
        self._started: tuple[Run, WorkerReport] | None = None

    def start(self) -> WorkerReport:
        """Load the models, if they are not loaded yet, and say which ones they are.

        :raises AutocogError: if they cannot be loaded, or the program does not run on them.
        """
        return self._start()[1]

    def run(self, batch: Batch) -> WorkedBatch:
        """Work on the rows of a batch.

        An error that every row would have is part of the result, with the rows before it.

        :raises AutocogError: if the models cannot be loaded.
        """
        run, report = self._start()
        meter = UsageMeter(run.model, run.models)
        rows: list[WorkedRow] = []
        error = None
        try:
            for result in run.run_rows(batch):
                text = None
                if self._job.has_trees and result.tree is not None:
                    text = tree_text(result.tree.with_token_bytes(run.model, run.models))
                rows.append(WorkedRow(result.output_row, text))
        except AutocogError as caught:
            error = caught
        return WorkedBatch(report=report, rows=rows, usage=meter.read(), error=error)

    def close(self) -> None:
        """Close the models; a second call does nothing."""
        self._started = None
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _start(self) -> tuple[Run, WorkerReport]:
        if self._started is None:
            run = self._job.prepare(*self._stack.enter_context(self._job.models.load()))
            run.automaton.require_sound()
            report = WorkerReport(
                models=run.model_identities(),
                backend=run.backend_name,
                rows_at_once=run.rows_at_once,
                versions=self._job.models.versions(),
                computer=platform.node(),
                process=os.getpid(),
            )
            self._started = run, report
        return self._started
