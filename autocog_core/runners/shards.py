"""The runner `shards`: worker processes on this computer, with a model each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from multiprocessing.connection import wait

from pydantic import Field

from autocog_core.errors import EngineError
from autocog_core.runners.batch_queue import BatchQueue
from autocog_core.runners.job import Batch, Job
from autocog_core.runners.runner import MAX_BATCHES_AHEAD, Runner, RunnerOptions
from autocog_core.runners.worker import WorkedBatch, WorkerReport
from autocog_core.runners.worker_process import WorkerProcess
from autocog_core.toolkit.processor_quota import limit_threads

#: How often workers may die at one batch, and how often one after the other while they start.
MAX_DEATHS = 10
MAX_DEATHS_AT_START = 3
_DEFAULT_WORKERS = 2


class ShardsOptions(RunnerOptions):
    """The options of `shards`.

    :ivar workers: the number of processes.
    """

    workers: int = Field(_DEFAULT_WORKERS, ge=1, le=1024)


class ShardsRunner(Runner):
    """Works on the rows in several processes of this computer, each of which loads the models.

    The processors are shared: each process takes as many threads as are its part, unless
    `OMP_NUM_THREADS` says it.
    """

    Options = ShardsOptions

    def __init__(self, workers: int = _DEFAULT_WORKERS) -> None:
        self._workers = workers
        self._job: Job | None = None
        self._processes: list[WorkerProcess] = []
        self._work = BatchQueue((), 0)
        self._deaths: Counter[int | None] = Counter()

    @property
    def workers(self) -> int:
        """The number of processes."""
        return self._workers

    def start(self, job: Job) -> WorkerReport:
        """Start the processes, and wait until all have loaded the models."""
        self._job = job
        try:
            self._start_processes()
            while any(process.report is None for process in self._processes):
                for _ in self._receive():
                    pass
        except BaseException:
            self.stop()
            raise
        report = self._processes[0].report
        assert report is not None
        return report

    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        """Yield the result of each batch, in order."""
        self._deaths.clear()
        self._start_processes()
        work = self._work = BatchQueue(batches, MAX_BATCHES_AHEAD * self._workers)
        try:
            while True:
                for process in self._processes:
                    if process.is_idle and (taken := work.take()) is not None:
                        process.send(*taken)
                if (worked := work.next_result()) is not None:
                    yield worked
                elif work.is_finished:
                    return
                else:
                    for number, result in self._receive():
                        work.put(number, result)
        finally:
            # What is still at work is not wanted any more.
            for process in [process for process in self._processes if process.batch is not None]:
                process.stop()
                self._processes.remove(process)

    def stop(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.stop()
        self._processes.clear()

    def _start_processes(self) -> None:
        """Start the processes that are missing."""
        assert self._job is not None
        threads = max(1, limit_threads(os.cpu_count() or 1) // self._workers)
        while len(self._processes) < self._workers:
            self._processes.append(WorkerProcess(self._job, threads))

    def _receive(self) -> Iterator[tuple[int, WorkedBatch | None]]:
        """Wait for processes; yield the numbers of batches with their results.

        None is the result of a batch whose worker has died. Another process replaces it.
        """
        busy = {process.connection: process for process in self._processes if not process.is_idle}
        ready = wait(busy)
        for process in [process for connection, process in busy.items() if connection in ready]:
            number = process.batch
            worked = None
            try:
                worked = process.receive()
            except EOFError as death:
                self._bury(process, str(death))
            else:
                self._deaths[number] = 0
            if number is not None:
                yield number, worked

    def _bury(self, process: WorkerProcess, death: str) -> None:
        """Start a process in place of one that died.

        :raises EngineError: if that has happened too often.
        """
        number = process.batch
        self._deaths[number] += 1
        if self._deaths[number] >= (MAX_DEATHS_AT_START if number is None else MAX_DEATHS):
            when = "while it started" if number is None else f"at {self._work.rows_of(number)}"
            raise EngineError(
                f"a worker died {self._deaths[number]} times {when}; the last time: {death}",
                where='runner "shards"',
                hint="if memory is short, give fewer workers",
            )
        process.stop()
        self._processes.remove(process)
        self._start_processes()
