"""The actor of Ray that holds a worker."""

from __future__ import annotations

import os
from contextlib import ExitStack

from autocog_core.runners import Batch, Job, WorkedBatch, Worker, WorkerReport, collect_messages


class RowActor:
    """A worker in a process of Ray.

    Ray calls the constructor again if the process dies. It loads nothing, so that it cannot fail:
    the first call does, and its error is that of a call.

    :param job: the job.
    """

    def __init__(self, job: Job) -> None:
        # Paths that are in no config file are relative to the caller's folder, if it is here too.
        if job.folder.is_dir():
            os.chdir(job.folder)
        self._stack = ExitStack()
        self._messages = self._stack.enter_context(collect_messages())
        self._worker = Worker(job)

    def start(self) -> WorkerReport:
        """Load the models, and say which ones they are."""
        return self._worker.start()

    def run(self, batch: Batch) -> WorkedBatch:
        """Work on the rows of a batch."""
        return self._worker.run(batch).with_messages(self._messages.take())

    def close(self) -> None:
        """Close the models."""
        self._worker.close()
