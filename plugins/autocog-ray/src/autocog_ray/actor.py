"""The actor of Ray that holds a worker."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

import ray

from autocog_core.runners import Batch, Job, WorkedBatch, Worker, WorkerReport, collect_messages


class RowActor:
    """A worker in a process of Ray.

    If the process dies, Ray makes another one, which loads the models again. Each call brings the
    job, as a reference in a list, which Ray does not resolve.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._messages = self._stack.enter_context(collect_messages())
        self._worker: Worker | None = None

    def start(self, job: list[Any]) -> WorkerReport:
        """Load the models, and say which ones they are."""
        return self._worker_for(job).start()

    def run(self, job: list[Any], batch: Batch) -> WorkedBatch:
        """Work on the rows of a batch."""
        return self._worker_for(job).run(batch).with_messages(self._messages.take())

    def close(self) -> None:
        """Close the models."""
        if self._worker is not None:
            self._worker.close()

    def _worker_for(self, reference: list[Any]) -> Worker:
        if self._worker is None:
            job: Job = ray.get(reference[0])
            # Paths that are in no config file are relative to the caller's folder, if it is here.
            if job.folder.is_dir():
                os.chdir(job.folder)
            self._worker = Worker(job)
        return self._worker
