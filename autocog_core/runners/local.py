"""The runner `local`: one worker in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from autocog_core.runners.job import Batch, Job
from autocog_core.runners.runner import Runner
from autocog_core.runners.worker import WorkedBatch, Worker, WorkerReport


class LocalRunner(Runner):
    """Works on the rows in this process, one batch after the other."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    @property
    def workers(self) -> int:
        """One."""
        return 1

    def start(self, job: Job) -> WorkerReport:
        """Load the models."""
        self._worker = Worker(job)
        try:
            return self._worker.start()
        except BaseException:
            self.stop()
            raise

    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        """Yield the result of each batch."""
        assert self._worker is not None
        for batch in batches:
            yield self._worker.run(batch)

    def stop(self) -> None:
        """Close the models."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None
