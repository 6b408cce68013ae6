"""A runner over threads, as short as one can be, and broken ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue

from autocog_core.runners import (
    MAX_BATCHES_AHEAD,
    Batch,
    Job,
    Runner,
    WorkedBatch,
    Worker,
    WorkerReport,
    run_in_order,
)


# The runner: 40 lines at most.
class ThreadRunner(Runner):
    workers = 2

    def start(self, job: Job) -> WorkerReport:
        self._started = [Worker(job) for _ in range(self.workers)]
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        self._threads = ThreadPoolExecutor(self.workers)
        try:
            reports = list(self._threads.map(Worker.start, self._started))
        except BaseException:
            self.stop()
            raise
        for worker in self._started:
            self._idle.put(worker)
        return reports[0]

    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        ahead = MAX_BATCHES_AHEAD * self.workers
        yield from run_in_order(self._submit, batches, ahead)

    def stop(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        for worker in self._started:
            worker.close()

    def _submit(self, batch: Batch) -> Future[WorkedBatch]:
        return self._threads.submit(self._work, batch)

    def _work(self, batch: Batch) -> WorkedBatch:
        worker = self._idle.get()
        try:
            return worker.run(batch)
        finally:
            self._idle.put(worker)


# Its end.


class LosesARow(ThreadRunner):
    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        for number, worked in enumerate(super().run(batches)):
            yield replace(worked, rows=worked.rows[:-1]) if number == 2 else worked


class LosesTheLastBatch(ThreadRunner):
    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        results = list(super().run(batches))
        yield from results[:-1] if len(results) > 1 else results


class DoublesARow(ThreadRunner):
    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        for number, worked in enumerate(super().run(batches)):
            yield replace(worked, rows=[*worked.rows, worked.rows[-1]]) if number == 2 else worked


class DoublesTheLastBatch(ThreadRunner):
    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        worked = None
        for worked in super().run(batches):
            yield worked
        if worked is not None:
            yield worked


class ChangesTheOrder(ThreadRunner):
    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        waiting = None
        for worked in super().run(batches):
            if waiting is None:
                waiting = worked
            else:
                yield worked
                yield waiting
                waiting = None
        if waiting is not None:
            yield waiting


class ReadsAll(ThreadRunner):
    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        iterator = iter(batches)
        return super().run([batch for _, batch in zip(range(200), iterator, strict=False)])


class LosesErrors(ThreadRunner):
    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        for worked in super().run(batches):
            yield replace(worked, error=None)


class KeepsItsThreads(ThreadRunner):
    def stop(self) -> None:
        pass
