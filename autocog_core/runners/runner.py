"""Runner: decides where the rows of a data set are worked on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar

from autocog_core.config.options import BackendOptions
from autocog_core.config.plugins import RUNNER_CONTRACT
from autocog_core.runners.job import Batch, Job
from autocog_core.runners.worker import WorkedBatch, WorkerReport

#: A runner takes at most this many batches for each worker before it yields the first of them.
MAX_BATCHES_AHEAD = 4


class RunnerOptions(BackendOptions):
    """Options of a runner; subclasses have fields. Unknown names are errors."""


class Runner(ABC):
    """Where the rows of a data set are worked on: the base class of runners.

    A runner starts workers (`Worker`), hands them batches, and yields what they return. Everything
    else is done by core: journal, retries, tables, trees, and the checks of what a runner yields.

    Its constructor takes its options by name.

    :cvar contract: the version of this contract that it was written for.
    :cvar Options: a pydantic model of its options.
    """

    contract: ClassVar[int] = RUNNER_CONTRACT
    Options: ClassVar[type[RunnerOptions]] = RunnerOptions

    @property
    @abstractmethod
    def workers(self) -> int:
        """The number of workers, at most; it is known once they are started."""

    @property
    def workers_at_start(self) -> int:
        """The number of workers that `start` has started."""
        return self.workers

    @abstractmethod
    def start(self, job: Job) -> WorkerReport:
        """Start the workers, and return the report of one of them.

        :param job: what the workers do.
        :raises AutocogError: if a worker cannot start; then nothing of it is left.
        """

    @abstractmethod
    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        """Yield the result of each batch, in the order of the batches.

        A worker that dies costs no batch: another one works on it. It may be called again, after
        the last batch or after an error. The generator may be closed before its end.

        :param batches: the batches; at most `MAX_BATCHES_AHEAD` for each worker are taken before
            the first of them is yielded.
        :raises EngineError: if workers die again and again.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stop the workers, whatever they do, and wait until they have ended.

        A second call, or a call without `start`, does nothing.
        """
