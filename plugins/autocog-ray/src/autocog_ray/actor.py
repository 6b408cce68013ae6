"""The actor of Ray that holds a worker."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

import ray

from autocog_core.runners import Batch, Job, WorkedBatch, Worker, WorkerReport, collect_messages


class RowActor:
    """A worker in a process of Ray."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._messages = self._stack.enter_context(collect_messages())
        self._worker: Worker | None = None

    def start(self, reference: list[Any]) -> WorkerReport:
        """Load the models of a job, and say which ones they are.

        :param reference: the job, as a reference of Ray in a list.
        """
        job: Job = ray.get(reference[0])
        # Paths that are in no config file are relative to the caller's folder, if it is here.
        if job.folder.is_dir():
            os.chdir(job.folder)
        self._worker = self._stack.enter_context(Worker(job))
        return self._worker.start()

    def run(self, batch: Batch) -> WorkedBatch:
        """Work on the rows of a batch."""
        assert self._worker is not None
        return self._worker.run(batch).with_messages(self._messages.take())

    def close(self) -> None:
        """Close the models."""
        self._stack.close()
